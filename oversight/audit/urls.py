"""Addresses of the audit log; included below `/p/<slug:project>/`."""

from django.urls import path

from oversight.audit import views

app_name = "audit"

urlpatterns = [
    path("audit/", views.event_list, name="event_list"),
    path("audit/events/<int:event>/proof", views.event_proof, name="event_proof"),
    path("audit/checkpoint", views.checkpoint, name="checkpoint"),
    path("audit/consistency", views.consistency, name="consistency"),
]
