"""The pages around the log-in: plain HTML that needs no script. The colour scheme is set by the file that sets it everywhere."""

from markupsafe import Markup, escape

_FRAME = Markup("""<!DOCTYPE html>
<html lang="en" data-plain-page>
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{title} · Voltledger</title>
    <link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/assets/90-style.css">
    <link rel="stylesheet" href="/assets/98-people.css">
    <script src="/assets/00-boot.js"></script>
  </head>
  <body class="plain-page">
    <main class="card plain-card">
      <div class="brand"><span class="logo" aria-hidden="true"></span><span>Voltledger</span></div>
      <h1>{title}</h1>
      {body}
    </main>
  </body>
</html>
""")
_FAULT = Markup('<p class="plain-fault" role="alert" id="fault">{}</p>')
_LOG_IN = Markup("""{fault}
      <form method="post" action="/log-in">
        <input type="hidden" name="next" value="{then}">
        <label for="email">E-mail address</label>
        <input id="email" name="email" type="email" autocomplete="username" required maxlength="200" value="{email}"{mark}{email_focus}>
        <label for="password">Password</label>
        <input id="password" name="password" type="password" autocomplete="current-password" required maxlength="200"{mark}{password_focus}>
        <button class="button is-main" type="submit">Log in</button>
      </form>
      <p class="plain-hint">Whoever administers Voltledger gives you a password, also when you have lost yours.</p>""")
_PASSWORD = Markup("""{fault}
      <p class="plain-hint">{why}</p>
      <form method="post" action="/password">
        <input type="hidden" name="csrf" value="{csrf}">
        <input type="hidden" name="next" value="{then}">
        <input type="text" name="username" autocomplete="username" value="{email}" readonly class="visually-hidden" tabindex="-1" aria-hidden="true">
        <label for="current">The password you have now</label>
        <input id="current" name="current" type="password" autocomplete="current-password" required maxlength="200" autofocus>
        <label for="new">The new one</label>
        <input id="new" name="new" type="password" autocomplete="new-password" required minlength="12" maxlength="200" aria-describedby="rule">
        <small id="rule">At least 12 signs; a few words in a row are easy to keep in mind.</small>
        <label for="again">The new one again</label>
        <input id="again" name="again" type="password" autocomplete="new-password" required maxlength="200">
        <button class="button is-main" type="submit">Change the password</button>
      </form>{back}""")
_REFUSED = Markup("""<p>You are logged in as {name}, {role}. This page is for other roles: ask whoever administers Voltledger.</p>
      <p><a class="button is-main" href="/">To the fleet</a></p>""")
_BACK = Markup("""
      <p><a href="{}">Back without changing it</a></p>""")


def log_in_page(then: str, email: str, fault: str | None) -> str:
    """Asks who it is. `then`: the path to go to; `email`: as typed before; `fault`: what was wrong."""
    mark = Markup(' aria-invalid="true" aria-describedby="fault"') if fault else ""
    focus = Markup(" autofocus")
    body = _LOG_IN.format(
        fault=_fault(fault), then=then, email=email, mark=mark, email_focus="" if email else focus, password_focus=focus if email else ""
    )
    return _FRAME.format(title="Log in", body=body)


def password_page(then: str, csrf: str, name: str, email: str, fault: str | None, *, must_change: bool) -> str:
    """Asks for another password. `csrf`: the token of the log-in at hand; `must_change`: there is no way back without."""
    why = (
        "Somebody else chose the password you have: take one that only you know."
        if must_change
        else f"For {name}. Everywhere else you are logged out."
    )
    back = "" if must_change else _BACK.format(then)
    body = _PASSWORD.format(fault=_fault(fault), why=why, csrf=csrf, then=then, email=email, back=back)
    return _FRAME.format(title="Change the password", body=body)


def refused_page(name: str, role: str) -> str:
    """Says that a page is for others."""
    return _FRAME.format(title="Not for your role", body=_REFUSED.format(name=name, role=role))


def _fault(fault: str | None) -> Markup | str:
    return _FAULT.format(escape(fault)) if fault else ""
