#!lua flags=allow-oom
-- Notes that an exchange leads to a queue, in the two sets kombu keeps; a repeat changes nothing.
-- Allowed on a full broker, so that a worker can start there and drain it.
-- KEYS: 1 kombu's bindings of the exchange SET, 2 those of them that never expire SET
-- ARGV: 1 binding
-- Reply: 1 if it is new, else 0
-- Cost: O(1)
redis.call('SADD', KEYS[2], ARGV[1])
return redis.call('SADD', KEYS[1], ARGV[1])
