// Search without a network. A page that lies on a disk (file:) may not start a Worker, in which the site's search runs;
// here the worker's script runs in a frame that nobody sees. Pages that come from a server keep their own Worker.
if (location.protocol === "file:") {
  class IFrameWorker extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.documentElement.append(frame)
      this.inner = frame.contentWindow
      // What the script sends goes to the page.
      this.inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      this.inner.importScripts = (...scripts) => Promise.all(scripts.map(script => this.load(script)))
      this.ready = this.load(address)
    }

    load(address) {
      const script = this.inner.document.createElement("script")
      script.src = address
      return new Promise((loaded, failed) => {
        script.onload = loaded
        script.onerror = () => failed(new Error(`Cannot load ${address}`))
        this.inner.document.body.append(script)
      })
    }

    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.inner.frameElement.remove()
    }
  }
  // The site's script asks for this name, to know where its parts lie.
  window.IFrameWorker = window.Worker = IFrameWorker
}
