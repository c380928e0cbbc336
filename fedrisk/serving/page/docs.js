"use strict";
// Validator and fonts of Swagger UI would be asked for elsewhere; nothing is.
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#description",
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  tryItOutEnabled: false,
  persistAuthorization: false,
});
