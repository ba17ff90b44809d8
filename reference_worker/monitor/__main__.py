from reference_worker import settings
from reference_worker.monitor.run import run

run(settings.read())
