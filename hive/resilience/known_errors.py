"""What hive knows of other people's errors: causes by qualified class name, by errno and by HTTP status.

Names, not classes: nothing is imported to recognise an error of a library that the task itself has imported.
"""

import errno

_NAMES: dict[str, dict[str, str]] = {
    "builtins": {
        "network": "ConnectionError EOFError",
        "timeout": "TimeoutError",
        "resource": "MemoryError OSError",
        "validation": "ValueError FileNotFoundError FileExistsError IsADirectoryError NotADirectoryError",
        "authorisation": "PermissionError",
    },
    "asyncio.exceptions": {"timeout": "CancelledError", "network": "IncompleteReadError"},
    "concurrent.futures._base": {"timeout": "CancelledError"},
    "json.decoder": {"dependency": "JSONDecodeError"},
    "socket": {"network": "gaierror herror"},
    "ssl": {"network": "SSLError", "authorisation": "SSLCertVerificationError"},
    "subprocess": {"timeout": "TimeoutExpired", "dependency": "CalledProcessError"},
    "urllib.error": {"network": "URLError ContentTooShortError"},
    "http.client": {"network": "HTTPException", "validation": "InvalidURL"},
    "sqlite3": {"resource": "OperationalError", "dependency": "DatabaseError", "validation": "IntegrityError"},
    "billiard.exceptions": {
        "timeout": "SoftTimeLimitExceeded TimeLimitExceeded",
        "resource": "WorkerLostError Terminated",
    },
    "celery.exceptions": {
        "timeout": "TimeoutError SoftTimeLimitExceeded TimeLimitExceeded",
        "resource": "WorkerLostError",
        "dependency": "ChordError BackendError",
        "validation": "InvalidTaskError",
        "poison": "NotRegistered ContentDisallowed",
    },
    "kombu.exceptions": {
        "network": "OperationalError ConnectionError",
        "dependency": "KombuError",
        "resource": "LimitExceeded ConnectionLimitExceeded ChannelLimitExceeded",
        "poison": "DecodeError ContentDisallowed SerializerNotInstalled",
        "validation": "EncodeError",
    },
    "redis.exceptions": {
        "network": "ConnectionError",
        "timeout": "TimeoutError",
        "dependency": "RedisError BusyLoadingError ReadOnlyError TryAgainError ClusterDownError MasterDownError",
        "resource": "OutOfMemoryError MaxConnectionsError",
        "authorisation": "AuthenticationError AuthorizationError NoPermissionError",
        "validation": "DataError",
    },
    "hive.store.faults": {"network": "BrokerGoneError", "resource": "BrokerFullError"},
    "hive.errors": {
        "network": "BrokerMissingError",
        "timeout": "DeadlineExceededError",
        "dependency": "BrokerError GuardRefusedError",
        "validation": "SettingsError InputError UnknownAgentTypeError MessageTooLargeError ArgumentsRefusedError",
        "authorisation": "BrokerRefusedError",
        "resource": "QueueFull",
    },
    "requests.exceptions": {
        "timeout": "Timeout",
        "network": "ConnectionError ProxyError SSLError ChunkedEncodingError ContentDecodingError",
        "dependency": "RequestException HTTPError TooManyRedirects JSONDecodeError InvalidJSONError",
        "validation": "InvalidURL MissingSchema InvalidSchema InvalidHeader InvalidProxyURL",
    },
    "urllib3.exceptions": {
        "timeout": "TimeoutError ReadTimeoutError ConnectTimeoutError",
        "network": "HTTPError ProtocolError NewConnectionError",
        "validation": "LocationValueError",
    },
    "httpx": {
        "timeout": "TimeoutException",
        "network": "TransportError",
        "dependency": "HTTPError DecodingError TooManyRedirects",
        "validation": "InvalidURL UnsupportedProtocol LocalProtocolError",
    },
    "httpcore": {"timeout": "TimeoutException", "network": "NetworkError ProtocolError ProxyError"},
    "aiohttp.client_exceptions": {
        "timeout": "ServerTimeoutError ConnectionTimeoutError SocketTimeoutError",
        "network": "ClientConnectionError ClientPayloadError",
        "dependency": "ClientError",
        "validation": "InvalidURL",
    },
    "openai": {
        "timeout": "APITimeoutError",
        "network": "APIConnectionError",
        "rate_limit": "RateLimitError",
        "authorisation": "AuthenticationError PermissionDeniedError",
        "validation": "BadRequestError NotFoundError UnprocessableEntityError",
        "dependency": "OpenAIError",
    },
    "anthropic": {
        "timeout": "APITimeoutError",
        "network": "APIConnectionError",
        "rate_limit": "RateLimitError OverloadedError",
        "authorisation": "AuthenticationError PermissionDeniedError",
        "validation": "BadRequestError NotFoundError UnprocessableEntityError RequestTooLargeError",
        "dependency": "AnthropicError",
    },
    "pydantic_core._pydantic_core": {"validation": "ValidationError"},
    "pydantic_ai.exceptions": {
        "dependency": "AgentRunError UnexpectedModelBehavior ModelAPIError",
        "resource": "UsageLimitExceeded",
    },
    "psycopg": {"dependency": "OperationalError InternalError", "validation": "DataError IntegrityError"},
    "sqlalchemy.exc": {
        "dependency": "OperationalError InterfaceError",
        "resource": "TimeoutError",
        "validation": "DataError IntegrityError",
    },
}

#: Where a library shows its classes under other modules than it documents.
_ALIASES = {"httpx": ("httpx", "httpx._exceptions"), "httpcore": ("httpcore", "httpcore._exceptions"),
            "openai": ("openai", "openai._exceptions"), "anthropic": ("anthropic", "anthropic._exceptions"),
            "psycopg": ("psycopg", "psycopg.errors")}  # fmt: skip

#: Causes by qualified class name.
BY_NAME: dict[str, str] = {
    f"{module}.{name}": cause
    for package, causes in _NAMES.items()
    for module in _ALIASES.get(package, (package,))
    for cause, names in causes.items()
    for name in names.split()
}

#: Causes of system errors whose class says too little.
BY_ERRNO: dict[int, str] = {
    **dict.fromkeys((errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH), "network"),
    **dict.fromkeys((errno.EADDRNOTAVAIL, errno.ENETRESET), "network"),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.EINVAL), "validation"),
    **dict.fromkeys((errno.EROFS,), "authorisation"),
}

#: Causes by HTTP status; another one below 500 is validation, above it dependency.
BY_STATUS: dict[int, str] = {
    401: "authorisation",
    402: "authorisation",
    403: "authorisation",
    407: "authorisation",
    408: "timeout",
    409: "dependency",
    423: "dependency",
    424: "dependency",
    425: "dependency",
    429: "rate_limit",
    504: "timeout",
    507: "resource",
    511: "authorisation",
    524: "timeout",
    529: "rate_limit",
}
