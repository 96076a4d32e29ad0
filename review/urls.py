"""Addresses of the reviewers' pages; included below `/p/<slug:project>/`."""

from django.urls import URLPattern

from review import rule_urls

app_name = "review"

urlpatterns: list[URLPattern] = [*rule_urls.urlpatterns]
