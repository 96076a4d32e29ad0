"""Addresses of jobs; included below `/p/<slug:project>/`."""

from django.urls import path

from oversight.jobs import views

app_name = "jobs"

urlpatterns = [
    path("jobs/", views.job_list, name="job_list"),
    path("jobs/<uuid:job>", views.job_detail, name="job_detail"),
    path("jobs/<uuid:job>/cancel", views.job_cancel, name="job_cancel"),
    path("jobs/<uuid:job>/replay", views.job_replay, name="job_replay"),
]
