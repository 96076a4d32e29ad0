"""Addresses of the reviewers' pages; included below `/p/<slug:project>/`."""

from django.urls import URLPattern

app_name = "review"

urlpatterns: list[URLPattern] = []
