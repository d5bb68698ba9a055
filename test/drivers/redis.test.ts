import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connect, freePorts, hostPath, newSpec, openEngine, pidOf, startServer, stateOf, until } from './redis-support.ts'

const MiB = 2 ** 20

describe('a Redis server', () => {
  it('is started once by concurrent starts, and answers when they have returned', async () => {
    const { engine } = await openEngine()
    const spec = await newSpec(engine)
    expect(await stateOf(engine, spec)).toBe('stopped')
    const started = await Promise.all([engine.start(spec), engine.start(spec), engine.start(spec)])
    expect(started[0]).toEqual({ version: (await engine.availability()).version })
    expect(await (await connect(spec)).ping()).toBe('PONG')
    const pid = await pidOf(spec)
    await engine.start(spec)
    expect(await pidOf(spec)).toBe(pid)
    expect(await stateOf(engine, spec)).toBe('running')
    await engine.stop(spec.id, { graceMs: 10_000 })
    expect(await stateOf(engine, spec)).toBe('stopped')
  })

  it('does not see the data of another one, and refuses its password', async () => {
    const { engine } = await openEngine()
    const [one, other] = [await startServer(engine), await startServer(engine)]
    const [toOne, toOther] = [await connect(one), await connect(other)]
    await toOne.set('shared', 'one')
    expect(await toOther.get('shared')).toBeNull()
    await toOther.set('shared', 'other')
    expect(await toOne.get('shared')).toBe('one')
    await expect(connect(one, { password: other.password }).then((client) => client.ping())).rejects.toThrow()
  })

  it('refuses the default account, with and without a password', async () => {
    const { engine } = await openEngine()
    const spec = await startServer(engine)
    const run = (args: string[], env: Record<string, string> = {}) =>
      new Promise<string>((resolve) => {
        const options = { env: { PATH: hostPath, ...env } }
        execFile('redis-cli', ['-p', String(spec.port), ...args], options, (_error, stdout, stderr) => resolve(stdout + stderr))
      })
    expect(await run(['PING'])).toContain('NOAUTH')
    expect(await run(['PING'], { REDISCLI_AUTH: spec.password })).toMatch(/WRONGPASS|NOAUTH/)
    expect(await run(['--user', 'app', 'PING'], { REDISCLI_AUTH: spec.password })).toBe('PONG\n')
  })

  it('keeps acknowledged data over SIGKILL if it is persistent', async () => {
    const { engine } = await openEngine()
    const spec = await startServer(engine)
    const client = await connect(spec)
    for (let n = 0; n < 200; n++) await client.set(`key ${n}`, n)
    process.kill(await pidOf(spec), 'SIGKILL')
    await until('it has exited', async () => (await stateOf(engine, spec)) === 'stopped')
    await engine.start(spec)
    const again = await connect(spec)
    expect(await again.dbsize()).toBe(200)
    expect(await again.get('key 199')).toBe('199')
  })

  it('forgets its data with its process if it is not persistent, also what it stored when it was', async () => {
    const { engine } = await openEngine()
    const spec = await startServer(engine)
    await (await connect(spec)).set('old', 1)
    await engine.stop(spec.id, { graceMs: 10_000 })
    await engine.start({ ...spec, persistent: false })
    const client = await connect(spec)
    expect(await client.dbsize()).toBe(0)
    await client.set('new', 1)
    await engine.stop(spec.id, { graceMs: 10_000 })
    await engine.start(spec)
    expect(await (await connect(spec)).dbsize()).toBe(0)
  })

  it('gets new settings without a restart', async () => {
    const { engine } = await openEngine()
    const spec = await startServer(engine, { persistent: false })
    const client = await connect(spec)
    await client.set('kept', 1)
    const pid = await pidOf(spec)
    const settings = { maxMemoryBytes: 512 * MiB, evictionPolicy: 'allkeys-lru', persistent: true } as const
    await engine.apply({ ...spec, ...settings })
    const info = await client.info()
    expect(info).toContain(`maxmemory:${512 * MiB}\r\n`)
    expect(info).toContain('maxmemory_policy:allkeys-lru')
    expect(info).toContain('aof_enabled:1')
    expect(await readFile(`/proc/${pid}/limits`, 'utf8')).toMatch(new RegExp(`Max data size +${(1024 + 128 + 256) * MiB} `))
    await until('the data is stored', async () => /aof_rewrite_in_progress:0/.test(await client.info()))
    process.kill(pid, 'SIGKILL')
    await until('it has exited', async () => (await stateOf(engine, spec)) === 'stopped')
    await engine.start({ ...spec, ...settings })
    expect(await (await connect(spec)).get('kept')).toBe('1')
  })

  it('reports its metrics, without the connection that reads them', async () => {
    const { engine } = await openEngine()
    const spec = await startServer(engine)
    const client = await connect(spec)
    await client.mset('a', 1, 'b', 2)
    await client.select(3)
    await client.set('c', 3)
    const metrics = (await engine.measure(spec.id))!
    expect(metrics).toMatchObject({ connectedClients: 1, keyCount: 3 })
    expect(metrics.usedMemoryBytes).toBeGreaterThan(500_000)
    // Read once for everyone who asks within a few seconds.
    const before = Number(/total_connections_received:(\d+)/.exec(await client.info())?.[1])
    await Promise.all(Array.from({ length: 50 }, () => engine.measure(spec.id)))
    const after = Number(/total_connections_received:(\d+)/.exec(await client.info())?.[1])
    expect(after - before).toBeLessThanOrEqual(2)
  })

  it('that runs with other settings gets those of a start', async () => {
    const { engine, options } = await openEngine()
    const spec = await startServer(engine)
    const { engine: other } = await openEngine(options)
    await other.start({ ...spec, evictionPolicy: 'allkeys-lfu' })
    expect(await (await connect(spec)).info()).toContain('maxmemory_policy:allkeys-lfu')
  })

  it('that was removed leaves no process and no data', async () => {
    const { engine, dataDir } = await openEngine()
    const spec = await startServer(engine)
    await engine.remove(spec.id)
    expect(await stateOf(engine, spec)).toBe('stopped')
    expect(await readdir(join(dataDir, 'redis'))).toEqual([])
    await engine.remove(spec.id)
  })
})

describe('the account of a client', () => {
  it('cannot manage the server', async () => {
    const { engine } = await openEngine()
    const spec = await startServer(engine)
    const client = await connect(spec)
    const refused = [
      'CONFIG GET *',
      'CONFIG SET dir /tmp',
      'CONFIG REWRITE',
      'DEBUG SLEEP 0',
      'DEBUG SEGFAULT',
      'SHUTDOWN NOSAVE',
      'MODULE LOAD /tmp/evil.so',
      'MODULE LIST',
      'SLAVEOF 127.0.0.1 6379',
      'REPLICAOF 127.0.0.1 6379',
      'SAVE',
      'BGSAVE',
      'BGREWRITEAOF',
      'PSYNC ? -1',
      'SYNC',
      'MIGRATE 127.0.0.1 6379 key 0 100',
      'ACL LIST',
      'ACL SETUSER app on +@all',
      'ACL SETUSER default on nopass +@all',
      'MONITOR',
      'CLIENT KILL TYPE normal',
      'CLIENT PAUSE 1000',
      'CLIENT NO-EVICT ON',
      'FAILOVER',
      'CLUSTER MEET 127.0.0.1 6379',
      'LATENCY RESET',
    ]
    for (const line of refused) {
      const [command, ...args] = line.split(' ')
      await expect(client.call(command!, ...args), line).rejects.toThrow(/NOPERM|command not allowed/)
    }
    await expect(client.eval("return redis.call('MIGRATE', '127.0.0.1', '6379', 'key', 0, 100)", 0)).rejects.toThrow(
      /permission|can't run this command/,
    )
    expect(await client.ping()).toBe('PONG')
  })

  it('can do everything with its own data', async () => {
    const { engine } = await openEngine()
    const client = await connect(await startServer(engine))
    await client.multi().set('a', 1).lpush('list', 2, 1).exec()
    expect(await client.keys('*')).toHaveLength(2)
    expect(await client.sort('list')).toEqual(['1', '2'])
    expect(await client.eval("return redis.call('GET', KEYS[1])", 1, 'a')).toBe('1')
    expect(await client.restore('copy', 0, (await client.dumpBuffer('a')) as Buffer)).toBe('OK')
    expect(await client.publish('channel', 'hello')).toBe(0)
    expect(await client.xadd('stream', '*', 'field', 'value')).toMatch(/-0$/)
    expect(await client.client('LIST')).toContain('user=app')
    expect(await client.flushall()).toBe('OK')
  })
})

describe('the memory of a server', () => {
  it('is limited for its data', async () => {
    const { engine } = await openEngine()
    const client = await connect(await startServer(engine, { maxMemoryBytes: 8 * MiB }))
    const fill = async () => {
      for (let n = 0; n < 64; n++) await client.set(`key ${n}`, Buffer.alloc(MiB))
    }
    await expect(fill()).rejects.toThrow(/OOM/)
    expect(await client.ping()).toBe('PONG')
  })

  it('evicts keys if its policy says so', async () => {
    const { engine } = await openEngine()
    const client = await connect(await startServer(engine, { maxMemoryBytes: 8 * MiB, evictionPolicy: 'allkeys-lru' }))
    for (let n = 0; n < 64; n++) await client.set(`key ${n}`, Buffer.alloc(MiB / 2))
    expect(await client.dbsize()).toBeLessThan(16)
  })

  it('is limited for its connections: an answer that is too large closes one', async () => {
    const { engine } = await openEngine()
    const spec = await startServer(engine)
    const [client, greedy] = [await connect(spec), await connect(spec)]
    await client.set('large', Buffer.alloc(8 * MiB))
    await expect(Promise.all(Array.from({ length: 100 }, () => greedy.get('large')))).rejects.toThrow()
    expect(await client.ping()).toBe('PONG')
  })

  it('is limited for scripts', async () => {
    const { engine } = await openEngine()
    const spec = await startServer(engine)
    const client = await connect(spec)
    await client.set('kept', 1)
    const script = 'local parts = {} for n = 1, 4000 do parts[n] = string.rep(tostring(n % 10), 1048576) .. n end return #parts'
    await expect(client.eval(script, 0)).rejects.toThrow()
    // The server survives, or is restarted with everything that it had acknowledged.
    const kept = await until('the server has its data', async () => {
      // Fails while the server that ran out of memory is exiting.
      await engine.start(spec).catch(() => undefined)
      return connect(spec)
        .then((again) => again.get('kept'))
        .catch(() => null)
    })
    expect(kept).toBe('1')
  })
})

describe('the port of a server', () => {
  it('that a stranger has taken is named with the stranger', async () => {
    const { engine } = await openEngine()
    const spec = await newSpec(engine)
    const stranger = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await new Promise<void>((resolve) => stranger.listen(spec.port, '127.0.0.1', resolve))
    const message = expect.stringMatching(`Port ${spec.port} .*pid ${process.pid}`)
    await expect(engine.start(spec)).rejects.toMatchObject({ code: 'PORT_TAKEN', message })
    expect(await stateOf(engine, spec)).toBe('stopped')
    await new Promise((resolve) => stranger.close(resolve))
    await engine.start(spec)
    expect(await (await connect(spec)).ping()).toBe('PONG')
  })

  it('is offered only while it is free and not taken', async () => {
    const { engine } = await openEngine({ ports: await freePorts(2) })
    const spec = await startServer(engine)
    const { candidates } = await engine.place(new Set())
    expect(candidates).toHaveLength(1)
    expect(candidates).not.toContain(spec.port)
    expect((await engine.place(new Set(candidates))).candidates).toEqual([])
  })
})

describe('a server that does not answer', () => {
  it('is silent after a while, delays nobody, and runs again when it answers', async () => {
    const { engine } = await openEngine({ silenceMs: 1_000 })
    const spec = await startServer(engine)
    const pid = await pidOf(spec)
    process.kill(pid, 'SIGSTOP')
    try {
      await until('it is silent', async () => (await stateOf(engine, spec)) === 'silent')
      expect(await engine.measure(spec.id)).toBeNull()
      await expect(engine.apply(spec)).rejects.toMatchObject({ code: 'UNREACHABLE' })
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await until('it runs', async () => (await stateOf(engine, spec)) === 'running')
  })

  it('is killed by a start, and the next one starts it', async () => {
    const { engine } = await openEngine({ silenceMs: 1_000 })
    const spec = await startServer(engine)
    await (await connect(spec)).set('key', 'value')
    process.kill(await pidOf(spec), 'SIGSTOP')
    await until('it is silent', async () => (await stateOf(engine, spec)) === 'silent')
    await expect(engine.start(spec)).rejects.toMatchObject({ code: 'UNREACHABLE' })
    expect(await stateOf(engine, spec)).toBe('stopped')
    await engine.start(spec)
    expect(await (await connect(spec)).get('key')).toBe('value')
  })

  it('is killed when it is stopped', async () => {
    const { engine } = await openEngine()
    const spec = await startServer(engine)
    process.kill(await pidOf(spec), 'SIGSTOP')
    await engine.stop(spec.id, { graceMs: 200 })
    expect(await stateOf(engine, spec)).toBe('stopped')
  })

  it('because all its connections are taken works', async () => {
    const { engine, options } = await openEngine()
    const spec = await startServer(engine)
    const sockets: Socket[] = []
    try {
      for (let n = 0; n < 128; n++) {
        const socket = new Socket().on('error', () => undefined).connect(spec.port, '127.0.0.1')
        sockets.push(socket)
        socket.write('PING\r\n')
        await once(socket, 'data')
      }
      // Another process of the control plane, which has not heard of it yet.
      const { engine: fresh } = await openEngine({ ...options, silenceMs: 0 })
      expect(await stateOf(fresh, spec)).toBe('running')
      expect(await fresh.measure(spec.id)).toBeNull()
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  })
})

describe('without a usable Redis', () => {
  it('a start is refused with the command that installs it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'quayside-path-'))
    const { engine } = await openEngine({ hostPath: directory })
    expect((await engine.availability()).missing).toContain('Neither redis-server nor valkey-server is installed')
    await expect(newSpec(engine).then(engine.start)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await engine.list()).toEqual([])
    await program(join(directory, 'apt-get'), '')
    const { engine: onDebian } = await openEngine({ hostPath: directory })
    expect((await onDebian.availability()).missing).toContain('apt-get update && apt-get install -y redis-server')
  })

  it('an old version is refused by its number', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'quayside-path-'))
    await program(join(directory, 'redis-server'), 'echo "Redis server v=6.0.16 sha=00000000:0"')
    const { engine } = await openEngine({ hostPath: directory })
    expect((await engine.availability()).missing).toContain('redis-server 6.0.16 is installed, but version 7 or newer is required')
  })

  it('Valkey is used instead', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'quayside-path-'))
    await program(
      join(directory, 'valkey-server'),
      'test "$1" = --version && echo "Valkey server v=8.0.1 sha=00000000:0" || exec redis-server "$@"',
    )
    const { engine } = await openEngine({ hostPath: directory })
    const spec = await startServer(engine)
    expect(await engine.start(spec)).toEqual({ version: '8.0.1' })
  })
})

it('a server that exits while it starts fails with its last message, without paths', async () => {
  const { engine, dataDir } = await openEngine()
  const spec = await startServer(engine)
  await (await connect(spec)).set('key', 'value')
  await engine.stop(spec.id, { graceMs: 10_000 })
  const folder = join(dataDir, 'redis', spec.id, 'data', 'appendonly')
  for (const name of await readdir(folder))
    if (name.endsWith('.aof')) await writeFile(join(folder, name), 'garbage, and no append only file')
  const failure = await engine.start(spec).catch((error: Error) => error)
  expect(failure).toMatchObject({ code: 'START_FAILED', message: expect.stringMatching(/append only|AOF/i) })
  expect((failure as Error).message).not.toContain(dataDir)
})

it('no password is on disk in the data of a server, in its log, among arguments or in an environment', async () => {
  const { engine, dataDir } = await openEngine()
  const spec = await startServer(engine)
  const pid = await pidOf(spec)
  for (const name of ['cmdline', 'environ']) expect(await readFile(`/proc/${pid}/${name}`, 'utf8')).not.toContain(spec.password)
  const files = await readdir(dataDir, { recursive: true, withFileTypes: true })
  for (const file of files.filter((entry) => entry.isFile()))
    expect(await readFile(join(file.parentPath, file.name), 'utf8')).not.toContain(spec.password)
})

it('a log that grows is truncated', async () => {
  const { engine, dataDir } = await openEngine()
  const spec = await newSpec(engine)
  const folder = join(dataDir, 'redis', spec.id)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'log'), 'x'.repeat(2 * MiB))
  await engine.start(spec)
  expect((await readFile(join(folder, 'log'))).length).toBeLessThan(MiB)
})

async function program(path: string, script: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`)
  await chmod(path, 0o755)
}
