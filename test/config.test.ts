import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { describe, test } from 'node:test';
import { DEFAULT_RETENTION } from '../src/channels.ts';
import { redactText, redactUrl } from '../src/config/values.ts';
import { type Config, ConfigError, loadConfig, SETTINGS } from '../src/config.ts';

function load(env: Record<string, string>, flags: Record<string, unknown> = {}): Config {
  return loadConfig({ env, flags });
}

function problems(env: Record<string, string>, flags: Record<string, unknown> = {}): readonly string[] {
  try {
    load(env, flags);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    assert.equal(error.exitCode, 2);
    return error.problems;
  }
  return [];
}

describe('defaults', () => {
  test('nothing set: everything in one process, on loopback, with the embedded log', () => {
    const config = load({});
    assert.equal(config.role, 'all');
    assert.deepEqual(config.http, {
      host: '127.0.0.1',
      ports: [3000],
      allowedOrigins: [],
      allowAnonymous: false,
      isReachedByAnyName: false,
      trustProxy: [],
      heartbeatMs: 25_000,
      idleTimeoutMs: 60_000,
      lingerMs: 30_000,
      compression: false,
      console: true,
      tls: null,
    });
    assert.equal(config.log.store, 'embedded');
    assert.equal(config.log.redisUrl, null);
    assert.equal(config.log.stream, 'local-q');
    assert.equal(config.log.dataDir, resolve('data'));
    assert.deepEqual(config.log.retention, DEFAULT_RETENTION);
    assert.deepEqual(config.log.durability, { level: 'memory', replicas: 1, timeoutMs: 1000 });
    assert.deepEqual(config.log.idempotency, { windowMs: 600_000, maxKeys: 1_000_000 });
    assert.equal(config.logLevel, 'info');
  });

  test('the limits', () => {
    const config = load({});
    const mib = 1024 * 1024;
    assert.deepEqual(config.manager, {
      maxMessageBytes: mib,
      publisherBufferBytes: mib,
      bufferBytes: 64 * mib,
      batchMaxEntries: 2000,
      batchMaxBytes: mib,
      batchWaitMs: 0,
      overloadedAfterMs: 5000,
    });
    assert.deepEqual(config.broadcaster, {
      ringBytes: 32 * mib,
      writeBytes: mib / 4,
      stalledBytes: 64 * mib,
      slowAfterMs: 30_000,
      slowEntries: 100_000,
      slowBytes: 64 * mib,
      maxCatchUps: 500,
    });
    assert.deepEqual(config.drain, { delayMs: 0, spreadMs: 5000, timeoutMs: 10_000 });
  });

  test('the configuration is frozen, all of it', () => {
    const config = load({});
    for (const part of [config, config.http, config.http.ports, config.log.retention, config.manager]) {
      assert.ok(Object.isFrozen(part));
    }
  });

  test('without an environment that of the process is read', (t) => {
    const before = process.env['STREAM'];
    t.after(() => {
      if (before === undefined) delete process.env['STREAM'];
      else process.env['STREAM'] = before;
    });
    process.env['STREAM'] = 'of-the-process';
    assert.equal(loadConfig().log.stream, 'of-the-process');
  });
});

describe('where a value comes from', () => {
  test('a flag wins over its variable', () => {
    assert.equal(load({ STREAM: 'from-env' }, { stream: 'from-flag' }).log.stream, 'from-flag');
  });

  test('an empty variable counts as absent', () => {
    assert.equal(load({ REDIS_URL: '', PORT: ' ' }).log.store, 'embedded');
  });

  test('an empty flag is a bad value', () => {
    assert.match(problems({}, { redisUrl: '' })[0] ?? '', /^--redis-url/);
  });

  test('flags given by a program may be numbers and booleans', () => {
    const config = load({}, { port: 0, allowAnonymous: true, host: '0.0.0.0' });
    assert.deepEqual(config.http.ports, [0]);
    assert.equal(config.http.allowAnonymous, true);
  });

  test('a flag that no setting has is an error', () => {
    assert.deepEqual(problems({}, { prot: 3000 }), ['"prot" is not a setting']);
  });
});

describe('values', () => {
  test('one to eight ports', () => {
    assert.deepEqual(load({ PORT: '3000, 8080,0' }).http.ports, [3000, 8080, 0]);
    for (const bad of ['', 'x', '-1', '65536', '3000,', '1,2,3,4,5,6,7,8,9', '0x10', '1e3']) {
      assert.equal(problems({}, { port: bad }).length, 1, bad);
    }
  });

  test('sizes', () => {
    const sizes = {
      '1': 1,
      '64b': 64,
      '2kb': 2000,
      '1.5mib': 1_572_864,
      '64MB': 64_000_000,
      '1 gib': 1024 ** 3,
    };
    for (const [text, value] of Object.entries(sizes)) {
      assert.equal(load({ RETENTION_MAX_BYTES: text }).log.retention.maxBytes, value, text);
    }
    for (const bad of ['1.5', '-1', 'mib', '1xb', '0', '1e6', '99999tib']) {
      assert.equal(problems({ RETENTION_MAX_BYTES: bad }).length, 1, bad);
    }
  });

  test('times', () => {
    const times = {
      '500': 500,
      '500ms': 500,
      '1.1s': 1100,
      '2m': 120_000,
      '12h': 43_200_000,
      '7d': 604_800_000,
    };
    for (const [text, value] of Object.entries(times)) {
      assert.equal(load({ RETENTION_MAX_AGE_MS: text }).log.retention.maxAgeMs, value, text);
    }
  });

  test('seconds', () => {
    for (const [text, value] of Object.entries({
      '5': 5000,
      '0.5': 500,
      '2500ms': 2500,
      '1m': 60_000,
      '0': 0,
    })) {
      assert.equal(load({ DRAIN_SECONDS: text }).drain.spreadMs, value, text);
    }
    for (const bad of ['-1', '2h', 'soon', '1.5ms'])
      assert.equal(problems({ DRAIN_SECONDS: bad }).length, 1, bad);
  });

  test('no timer beyond what setTimeout can wait', () => {
    assert.equal(problems({ DRAIN_TIMEOUT_MS: '25d' }).length, 1);
  });

  test('a Redis URL as the client takes it', () => {
    for (const url of [
      'redis://localhost',
      'rediss://:pw@h:1/2',
      'redis://u:p%40@h',
      '/run/redis.sock',
      'redis://[::1]:6379',
    ]) {
      assert.equal(load({ REDIS_URL: url }).log.redisUrl, url);
    }
    for (const url of [
      'localhost:6379',
      'http://h',
      'redis://',
      'redis://h/x',
      'redis://u:50%@h',
      '//h',
      'unix:///s',
    ]) {
      assert.equal(problems({ REDIS_URL: url }).length, 1, url);
    }
  });

  test('origins as a browser sends them', () => {
    assert.deepEqual(
      load({ ALLOWED_ORIGINS: 'https://Example.com:443, http://*.example.org:8080,' }).http.allowedOrigins,
      ['https://example.com', 'http://*.example.org:8080'],
    );
    for (const bad of ['example.com', 'https://a.com/path', '*', 'https://a.*.com', 'ftp://a']) {
      assert.equal(problems({ ALLOWED_ORIGINS: bad }).length, 1, bad);
    }
  });

  test('a stream has the grammar of channel names', () => {
    assert.equal(load({ STREAM: 'a.b:c_D-9' }).log.stream, 'a.b:c_D-9');
    assert.equal(problems({ STREAM: '{a}' }).length, 1);
  });

  test('booleans', () => {
    assert.equal(load({ ALLOW_ANONYMOUS: 'TRUE' }).http.allowAnonymous, true);
    assert.equal(load({ ALLOW_ANONYMOUS: '0' }).http.allowAnonymous, false);
    assert.equal(problems({ ALLOW_ANONYMOUS: 'maybe' }).length, 1);
  });
});

describe('settings that contradict each other', () => {
  test('a store follows from REDIS_URL, or has to agree with it', () => {
    assert.equal(load({ REDIS_URL: 'redis://h' }).log.store, 'redis');
    assert.equal(load({ STORE: 'memory' }).log.store, 'memory');
    assert.match(problems({ STORE: 'redis' })[0] ?? '', /needs REDIS_URL/);
    assert.match(problems({ STORE: 'embedded', REDIS_URL: 'redis://h' })[0] ?? '', /contradict/);
  });

  test('roles meet only in Redis', () => {
    assert.match(problems({ ROLE: 'manager' })[0] ?? '', /^ROLE="manager" needs REDIS_URL/);
    assert.match(problems({ DURABILITY: 'replicated' })[0] ?? '', /^DURABILITY="replicated" needs REDIS_URL/);
    assert.match(problems({ DURABILITY: 'fsync', STORE: 'memory' })[0] ?? '', /contradict each other/);
    assert.equal(load({ DURABILITY: 'fsync' }).log.durability.level, 'fsync', 'the embedded log always is');
    assert.equal(load({ ROLE: 'broadcaster', REDIS_URL: 'redis://h' }).role, 'broadcaster');
  });

  test('a public host is refused unless anybody may come', () => {
    for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.com']) {
      assert.match(problems({ HOST: host })[0] ?? '', /ALLOW_ANONYMOUS=true/);
      assert.equal(load({ HOST: host, ALLOW_ANONYMOUS: 'true' }).http.host, host);
    }
    for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost'])
      assert.equal(load({ HOST: host }).http.host, host);
  });

  test('an idle time-out leaves room for a heartbeat', () => {
    assert.match(problems({ HEARTBEAT_MS: '60s' })[0] ?? '', /IDLE_TIMEOUT_MS/);
  });
});

describe('messages', () => {
  test('each problem has its line: the name, the value, what is allowed', () => {
    assert.deepEqual(problems({ ROLE: 'boss', SLOW_BYTES: 'many' }, { logLevel: 'loud' }), [
      'ROLE="boss" is not allowed. Allowed: all, manager, broadcaster.',
      '--log-level "loud" is not allowed. Allowed: trace, debug, info, warn, error, fatal, silent.',
      'SLOW_BYTES="many" is not allowed. Allowed: a size from 1 to 1tib.',
    ]);
  });

  test('a secret is masked in the message about it', () => {
    for (const url of [
      's3cret',
      'http://u:s3cret@h',
      'redis://u:s3/s3cret#@h',
      'redis://h/x?password=s3cret',
    ]) {
      const [line] = problems({ REDIS_URL: url });
      assert.match(line ?? '', /^REDIS_URL=.*\*\*\*/);
      assert.doesNotMatch(line ?? '', /s3cret/);
    }
  });

  test('control characters cannot reach the terminal', () => {
    assert.ok(!problems({ STREAM: 'a\u001b[31m' })[0]?.includes('\u001b'));
  });
});

describe('masking', () => {
  test('URLs', () => {
    const cases = {
      'redis://h:6379/1': 'redis://h:6379/1',
      'redis://:pw@h': 'redis://***@h',
      'redis://user:p:w@h': 'redis://user:***@h',
      'redis://pasted@h': 'redis://***@h',
      '/ws/broadcast?token=abc&after=1-0': '/ws/broadcast?token=***&after=1-0',
      '/run/redis.sock?password=x': '/run/redis.sock?password=***',
    };
    for (const [url, masked] of Object.entries(cases)) assert.equal(redactUrl(url), masked);
  });

  test('URLs within a text', () => {
    assert.equal(redactText('connecting to redis://u:p@h:1 failed'), 'connecting to redis://***@h:1 failed');
    assert.equal(redactText('GET /sse?access_token=a.b.c HTTP/1.1'), 'GET /sse?access_token=*** HTTP/1.1');
  });
});

test('every setting can be written as its documentation says', () => {
  const names = new Set(SETTINGS.map((setting) => setting.name));
  assert.equal(names.size, SETTINGS.length);
  for (const setting of SETTINGS) {
    assert.match(setting.flag, /^--[a-z]+(-[a-z0-9]+)*$/);
    assert.ok(setting.description.endsWith('.') && setting.allowed !== '', setting.name);
    if (setting.defaultValue !== '')
      assert.deepEqual(load({ [setting.name]: setting.defaultValue }), load({}));
  }
});
