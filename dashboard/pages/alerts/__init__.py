"""`/alerts`: what needs somebody, why, and what people did about it."""

from dashboard.pages.alerts.page import layout, register

__all__ = ["layout", "register"]
