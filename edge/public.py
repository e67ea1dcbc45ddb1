"""What is answered without asking who asks, each with its reason. Whoever adds a route decides here; a test walks every route.

Everything else needs a log-in where one is set up, or a key; on this machine it may be open to everybody on it.
"""

# Stays open: without it nobody could log in, or an orchestrator could not tell whether we live.
FOR_EVER = {
    "/healthz": "an orchestrator asks whether the process lives; it says nothing else",
    "/readyz": "a load balancer asks whether to send traffic; it says how many days have tables",
    "/assets/<path:filename>": "scripts, styles and the base map: the same in every installation",
    "/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>": "the libraries' scripts: the same in every installation",
    "/_favicon.ico": "Dash's icon",
    "/log-in": "where people say who they are; it is the same for everybody",
}

# By the beginning of their path: who is asked, where people log in.
ASKED = {
    "/v1/": "people or keys, by route; readings need a key",
    "/live/": "people: what the open pages show, every few seconds",
    "/_dash-layout": "people: the pages' frame",
    "/_dash-dependencies": "people: the names of all callbacks",
    "/_dash-update-component": "people: every page's contents",
    "/_reload-hash": "people: Dash's, for development; it names the assets",
    "/metrics": "keys (and people, where pages are made in the same process): counts for Prometheus, without ids",
    "/api": "people: the specification and its page",
    "/log-out": "people: it ends their own log-in",
    "/password": "people: it changes their own password",
}
# Exactly these, since everything begins with a slash.
ASKED_PAGES = {
    "/": "people: the fleet's page",
    "/<path:path>": "people: every other page; the address is looked up in the browser's request for the contents",
}


def reason(rule: str) -> str | None:
    """What was decided of a route, as Flask writes it; None where nobody did."""
    exact = FOR_EVER.get(rule) or ASKED_PAGES.get(rule)
    return exact or next((why for start, why in ASKED.items() if rule.startswith(start)), None)
