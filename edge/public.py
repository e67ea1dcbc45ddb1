"""What is answered without asking who asks, each with its reason. Whoever adds a route decides here; a test walks every route.

There is no log-in yet, so on loopback all of it is open; `UNTIL_LOG_IN` is what the log-in will take away.
"""

# Stays open: without it nobody could log in, or an orchestrator could not tell whether we live.
FOR_EVER = {
    "/healthz": "an orchestrator asks whether the process lives; it says nothing else",
    "/readyz": "a load balancer asks whether to send traffic; it says how many days have tables",
    "/assets/<path:filename>": "scripts, styles and the base map: the same in every installation",
    "/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>": "the libraries' scripts: the same in every installation",
    "/_favicon.ico": "Dash's icon",
}

# Open on this machine only, because no log-in is set up. By the beginning of their path.
UNTIL_LOG_IN = {
    "/v1/": "devices get keys, programs and people log in",
    "/live/": "what the open pages show, every few seconds",
    "/_dash-layout": "the pages' frame",
    "/_dash-dependencies": "the names of all callbacks",
    "/_dash-update-component": "every page's contents",
    "/_reload-hash": "Dash's, for development; it names the assets",
    "/metrics": "counts for Prometheus, without ids",
    "/api": "the specification and its page",
}
# Exactly these, since everything begins with a slash.
UNTIL_LOG_IN_PAGES = {
    "/": "the fleet's page",
    "/<path:path>": "every other page; the address is looked up in the browser's request for the contents",
}


def reason(rule: str) -> str | None:
    """Why a route, as Flask writes it, is open; None where nobody decided that it is."""
    exact = FOR_EVER.get(rule) or UNTIL_LOG_IN_PAGES.get(rule)
    return exact or next((why for start, why in UNTIL_LOG_IN.items() if rule.startswith(start)), None)
