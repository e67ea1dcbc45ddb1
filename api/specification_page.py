"""The page that shows the specification: Swagger UI without a script in the page, which the content security policy would not run."""

from flask import Response
from flask_openapi3 import OpenAPI

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="UTF-8">
  <title>Voltledger API</title>
  <link rel="shortcut icon" href="swagger/images/swagger.svg">
  <link rel="stylesheet" type="text/css" href="swagger/css/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="swagger/js/swagger-ui-bundle.js"></script>
  <script src="swagger/js/swagger-ui-standalone-preset.js"></script>
  <script src="start.js"></script>
</body>
</html>
"""
START = """window.ui = SwaggerUIBundle({
  url: new URL("openapi.json", window.location.href).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  plugins: [SwaggerUIBundle.plugins.DownloadUrl],
  layout: "StandaloneLayout",
  showExtensions: true,
  showCommonExtensions: true,
});
"""


def register(app: OpenAPI) -> None:
    """/api/start.js, and the page at /api/swagger that loads it."""
    app.config["SWAGGER_HTML_STRING"] = PAGE

    def get_start() -> Response:
        return Response(START, mimetype="text/javascript")

    app.add_url_rule("/api/start.js", "api_start", get_start)
