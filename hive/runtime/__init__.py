"""The runtime: the only package that knows Celery's application.

``Hive`` is ``celery.Celery`` with other defaults, a task class that knows its agent type, a router behind the user's
own routes, and hive's transport in place of kombu's for Redis addresses. Nothing a Celery user knows is taken away:
every argument of ``Celery`` is taken, and whatever the user configures wins over hive's defaults.

Celery's own settings stand in one place, :mod:`hive.runtime.defaults`, as a function of hive's typed settings; the
file ``celeryconfig.py`` of a deployment is that function's result and the beat schedule. (They cannot stand only in
that file: an application that merely imports ``Hive`` has no such file, or has one of its own.)
"""
