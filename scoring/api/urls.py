from django.urls import path

from scoring.api import records

urlpatterns = [
    path("records", records.RecordsView.as_view(), name="records"),
    path("records/<uuid:record_id>", records.RecordView.as_view(), name="record"),
]
