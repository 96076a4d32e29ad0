"""The Celery application: JSON only, late acks, prefetch 1; PostgreSQL is the truth.

A task that is lost with the broker is found again by the relay (oversight/jobs) or by the next
tick of the schedule, so nothing here needs the broker to be durable.
"""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oversight.settings")

app = Celery("oversight", task_cls="oversight.jobs.ticking:RecordedTask")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    result_backend=None,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_time_limit=660,
    task_soft_time_limit=600,
    worker_max_tasks_per_child=500,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 1_800,
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "retry_on_timeout": True,
        "health_check_interval": 15,
        "unacked_restore_throttle": 1,
    },
    timezone="UTC",
    task_default_queue="oversight",
    beat_schedule={
        "relay-jobs": {
            "task": "oversight.jobs.tasks.relay",
            "schedule": 1.0,
            "options": {"expires": 5},
        },
        "sequence-audit": {
            "task": "oversight.audit.tasks.sequence",
            "schedule": 10.0,
            "options": {"expires": 30},
        },
        "prepare-partitions": {
            "task": "scoring.tasks.prepare_partitions",
            "schedule": 3_600.0,
            "options": {"expires": 3_000},
        },
        "enforce-retention": {
            "task": "scoring.tasks.enforce_retention",
            "schedule": 900.0,
            "options": {"expires": 800},
        },
        "draw-rounds": {
            "task": "review.tasks.draw_due_rounds",
            "schedule": 60.0,
            "options": {"expires": 55},
        },
        "refit-posteriors": {
            "task": "review.tasks.refit_posteriors",
            "schedule": 600.0,
            "options": {"expires": 500},
        },
        "expire-cases": {
            "task": "review.tasks.expire_cases",
            "schedule": 300.0,
            "options": {"expires": 280},
        },
        "learn": {
            "task": "review.tasks.learn_where_due",
            "schedule": 3_600.0,
            "options": {"expires": 3_000},
        },
        "report-drift": {
            "task": "review.tasks.report_drift",
            "schedule": 60.0,
            "options": {"expires": 55},
        },
        "reconcile": {
            "task": "review.tasks.reconcile",
            "schedule": 60.0,
            "options": {"expires": 55},
        },
    },
)
app.autodiscover_tasks()
