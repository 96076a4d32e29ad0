"""Addresses of the audit log; included below `/p/<slug:project>/`."""

from django.urls import path

from oversight.audit import views

app_name = "audit"

urlpatterns = [path("audit/", views.event_list, name="event_list")]
