"""All settings together, and the relations between them."""

from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hive.settings.agent_state import CheckpointSettings, MemorySettings
from hive.settings.parts import (
    BackpressureSettings,
    BeatSettings,
    BreakerSettings,
    BrokerSettings,
    DeadSettings,
    DeliverySettings,
    EmbeddedSettings,
    FleetSettings,
    LimitSettings,
    ResultSettings,
    RetrySettings,
    RoutingSettings,
    WorkerSettings,
)
from hive.settings.problems import problems
from hive.settings.scaling import ScalingSettings
from hive.settings.scheduler import SchedulerSettings
from hive.settings.sleeping import SleepSettings


class Settings(BaseModel):
    """Everything that can be set. Build it with :func:`hive.settings.load_settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    home: Path = Field(
        default_factory=lambda: platformdirs.user_state_path("hive"),
        description="Directory of the embedded broker's data, locks and logs. Commands with the same home share one hive.",
    )
    imports: tuple[str, ...] = Field(
        (),
        description="Modules with tasks that the workers of `hive worker` and `hive up` import, besides those of "
        "installed packages (entry point group hive.tasks).",
    )
    agents: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Agent types of your own, or changed fields of known ones: a table [agents.NAME] with the fields "
        "of hive.AgentType.",
    )
    broker: BrokerSettings = BrokerSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    delivery: DeliverySettings = DeliverySettings()
    backpressure: BackpressureSettings = BackpressureSettings()
    beat: BeatSettings = BeatSettings()
    dead: DeadSettings = DeadSettings()
    breaker: BreakerSettings = BreakerSettings()
    limits: LimitSettings = LimitSettings()
    breakers: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Rules of the breaker of one dependency: a table [breakers.NAME] with fields of [breaker].",
    )
    retries: RetrySettings = RetrySettings()
    routing: RoutingSettings = RoutingSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    memory: MemorySettings = MemorySettings()
    sleep: SleepSettings = SleepSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    results: ResultSettings = ResultSettings()
    worker: WorkerSettings = WorkerSettings()
    scaling: ScalingSettings = ScalingSettings()
    fleet: FleetSettings = FleetSettings()

    @model_validator(mode="after")
    def _rules_of_breakers(self) -> "Settings":
        for name in self.breakers:
            try:
                self.breaker_rules(name)
            except ValidationError as exc:
                found = problems(exc, BreakerSettings, f"breakers.{name}")
                raise ValueError("; ".join(sentence for _, sentence in found)) from exc
        return self

    def breaker_rules(self, name: str) -> BreakerSettings:
        """Return the rules of a dependency's breaker: those of ``[breaker]`` with what ``[breakers.NAME]`` changes."""
        return BreakerSettings.model_validate({**self.breaker.model_dump(), **self.breakers.get(name, {})})

    @model_validator(mode="after")
    def _relations(self) -> "Settings":
        delivery = self.delivery
        if delivery.renew_every_s * 3 > delivery.lease_s:
            raise ValueError(
                f"delivery.renew_every_s ({delivery.renew_every_s:g} s) must be at most a third of delivery.lease_s "
                f"({delivery.lease_s:g} s): two renewals may fail before the lease ends"
            )
        if delivery.reap_every_s * 5 > delivery.lease_s:
            raise ValueError(
                f"delivery.reap_every_s ({delivery.reap_every_s:g} s) must be at most a fifth of delivery.lease_s "
                f"({delivery.lease_s:g} s): with jitter and a renewal between, a longer pause between ticks looks like an absent broker"
            )
        if self.routing.report_every_s * 2 > self.routing.fresh_s:
            raise ValueError(
                f"routing.fresh_s ({self.routing.fresh_s:g} s) must be at least twice routing.report_every_s "
                f"({self.routing.report_every_s:g} s): one late report must not hide a worker"
            )
        if self.broker.socket_timeout_s >= delivery.lease_s * 2:
            raise ValueError(
                f"broker.socket_timeout_s ({self.broker.socket_timeout_s:g} s) must be below twice delivery.lease_s "
                f"({delivery.lease_s:g} s): a dead connection would outlast the lease unnoticed"
            )
        if self.beat.hold_s * 2 > self.beat.missed_after_s:
            raise ValueError(
                f"beat.missed_after_s ({self.beat.missed_after_s:g} s) must be at least twice beat.hold_s "
                f"({self.beat.hold_s:g} s): what falls due while another takes over is late, not missed"
            )
        if delivery.claim_max_bytes > delivery.max_message_bytes:
            raise ValueError("delivery.claim_max_bytes must not exceed delivery.max_message_bytes")
        if self.dead.archive_keep_s < self.dead.max_age_s:
            raise ValueError(
                f"dead.archive_keep_s ({self.dead.archive_keep_s:g} s) must be at least dead.max_age_s "
                f"({self.dead.max_age_s:g} s): what is archived for its age would be deleted at once"
            )
        return self
