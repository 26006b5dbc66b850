"""What a channel is told by kombu's transport options."""

from collections.abc import Mapping
from typing import Any

from hive.settings.parts import DeliverySettings

#: The transport option under which an application hands over its delivery settings, as a dict that JSON can show.
OPTION = "hive"


def delivery_settings(options: Mapping[str, Any]) -> DeliverySettings:
    """Return the delivery settings of a connection; the defaults if it brings none."""
    return DeliverySettings(**options.get(OPTION, {}))


def with_delivery_settings(options: Mapping[str, Any], settings: DeliverySettings) -> dict[str, Any]:
    """Return transport options that bring these settings, unless they bring some already."""
    return {OPTION: settings.model_dump(), **options}
