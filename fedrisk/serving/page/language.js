"use strict";
// Puts the page's texts into the browser's language: WORDS (words.js) has whole texts and patterns with {values}.

(() => {
  const words = WORDS[navigator.language.slice(0, 2).toLowerCase()];
  if (!words) return;
  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const letters = (text) => text.replace(/\{\w+\}/g, "").length;
  const whole = new Map(words.texts.filter(([text]) => !text.includes("{")));
  const patterns = words.texts.filter(([text]) => text.includes("{"))
    .sort((a, b) => letters(b[0]) - letters(a[0]))
    .map(([text, told]) => [
      new RegExp(`^${text.split(/(\{\w+\})/).map((part) => (/^\{\w+\}$/.test(part) ? `(?<${part.slice(1, -1)}>.*?)` : escaped(part))).join("")}$`),
      told,
    ]);

  function said(text, depth = 0) {
    if (whole.has(text)) return whole.get(text);
    if (text.endsWith(".") && whole.has(text.slice(0, -1))) return `${whole.get(text.slice(0, -1))}。`;
    for (const [pattern, told] of depth < 4 ? patterns : []) {
      const found = pattern.exec(text);
      if (found) return told.replace(/\{(\w+)\}/g, (_, name) => said(found.groups[name] || "", depth + 1));
    }
    return text;
  }

  function translate(node) {
    if (node.nodeType === Node.ELEMENT_NODE) {
      for (const element of [node, ...node.querySelectorAll("[aria-label]")]) {
        const label = element.getAttribute("aria-label");
        if (label) element.setAttribute("aria-label", said(label));
      }
    }
    const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    for (let text = node.nodeType === Node.TEXT_NODE ? node : walker.nextNode(); text; text = walker.nextNode()) {
      const english = text.data.replace(/\s+/g, " ").trim();
      const told = english && said(english);
      if (told && told !== english) text.data = text.data.replace(/^(\s*)[^]*?(\s*)$/, (_, before, after) => before + told + after);
    }
  }

  document.documentElement.lang = words.lang;
  document.title = said(document.title);
  translate(document.body);
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "characterData") translate(change.target);
      else change.addedNodes.forEach(translate);
    }
  }).observe(document.body, { childList: true, characterData: true, subtree: true });
})();
