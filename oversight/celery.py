"""The Celery applications: JSON only, late acks, prefetch 1; PostgreSQL is the truth.

A task that is lost with the broker is found again by the relay (oversight/jobs) or by the next
tick of the schedule, so nothing here needs the broker to be durable.

A worker of `app` does everything. What a module `ticks` holds is short and must not wait behind
minutes of drawing or fitting, so it has a queue of its own and an application, `ticks`, whose
worker takes that queue alone. It and the beat know no other task, and need a third of the memory.
"""

import os
from typing import Any

from celery import Celery
from django.conf import settings
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oversight.settings")
# Celery would import every page to run Django's checks, and then not look at what they say.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

TICKS = "ticks"

_CONF: dict[str, Any] = {
    "broker_url": settings.CELERY_BROKER_URL,
    "result_backend": None,
    "task_ignore_result": True,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "task_time_limit": 660,
    "task_soft_time_limit": 600,
    "worker_max_tasks_per_child": 500,
    # What runs goes on; the broker gives it out again, and that copy finds the lease taken.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # Nobody commands workers through the broker. Without it they subscribe to nothing: redis-py
    # renews a subscription's lost connection by itself, and then reads from it for ever, in the
    # loop that should fetch tasks.
    "worker_enable_remote_control": False,
    "broker_connection_retry_on_startup": True,
    "broker_transport_options": {
        "visibility_timeout": 1_800,
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "retry_on_timeout": True,
        "health_check_interval": 15,
        "unacked_restore_throttle": 1,
    },
    "timezone": "UTC",
    "task_default_queue": "oversight",
    "task_queues": [Queue(name, routing_key=name) for name in ("oversight", TICKS)],
    "task_routes": {"*.ticks.*": {"queue": TICKS}},
    "beat_schedule": {
        "relay-jobs": {
            "task": "oversight.jobs.ticks.relay",
            "schedule": 1.0,
            "options": {"expires": 5},
        },
        "sequence-audit": {
            "task": "oversight.audit.ticks.sequence",
            "schedule": 10.0,
            "options": {"expires": 30},
        },
        "prepare-partitions": {
            "task": "scoring.ticks.prepare_partitions",
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
            "task": "review.ticks.reconcile",
            "schedule": 60.0,
            "options": {"expires": 55},
        },
    },
}


def _application(*modules: str, is_current: bool) -> Celery:
    """An application that knows the tasks in modules of these names."""
    made = Celery(
        "oversight", task_cls="oversight.jobs.ticking:RecordedTask", set_as_current=is_current
    )
    made.conf.update(_CONF)
    for name in modules:
        made.autodiscover_tasks(related_name=name)
    return made


app = _application("tasks", "ticks", is_current=True)
ticks = _application("ticks", is_current=False)
ticks.amqp.queues.select([TICKS])
