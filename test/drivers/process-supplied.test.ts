import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Places, SuppliedTool } from '../../src/domain/deploys/instance/ports.ts'
import {
  buildRequest,
  fileSource,
  modes,
  openRuntime,
  outputOf,
  quiet,
  readAll,
  recording,
  startRequest,
  until,
  untilHealthy,
} from './process-support.ts'

const greeter: SuppliedTool = {
  name: 'greeter-1',
  title: 'Greeter 1',
  program: 'bin/greet',
  source: fileSource(
    { 'bin/greet': '#!/bin/sh\necho "hello from $(cat "$(dirname "$(readlink -f "$0")")/../word")"\n', word: 'the tool' },
    0o755,
  ),
}

describe.each(modes)('what a request supplies (%s)', (sandbox) => {
  it('is the plan of the build, which reads the tree, and tools that are fetched once', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    let fetched = 0
    const source: SuppliedTool['source'] = (directory, io) => {
      fetched++
      return greeter.source(directory, io)
    }
    const tool = { ...greeter, source }
    const seen: unknown[] = []
    const request = () =>
      buildRequest(fileSource({ 'apps/one/manifest': '1', 'apps/two/manifest': '1', 'apps/read me': '1', outside: '' }), {
        rootDirectory: 'apps',
        tools: [tool],
        async plan(tree) {
          seen.push(
            await tree.directories('.'),
            await tree.directories('one'),
            await tree.directories('../..'),
            await tree.directories('none'),
          )
          seen.push(
            await tree.isFile('one/manifest'),
            await tree.isFile('one'),
            await tree.isFile('../outside'),
            await tree.isFile('/etc/passwd'),
          )
          return {
            detected: 'greeting',
            steps: ['greet > greeting'],
            startCommand: 'cat greeting; greet',
            facts: { modules: ['one', 'two'] },
          }
        },
      })
    const log = recording()
    const release = await runtime.build(request(), log)
    expect(seen).toEqual([['one', 'two'], [], null, null, true, false, true, false])
    expect(release).toMatchObject({ detected: 'greeting', startCommand: 'cat greeting; greet', facts: { modules: ['one', 'two'] } })
    expect(log.text()).toContain('Fetching the source of Greeter 1.')
    const again = recording()
    await runtime.build(request(), again)
    expect([fetched, again.text()]).toEqual([1, expect.not.stringContaining('Fetching')])
    const started = startRequest(release, { kind: 'worker' })
    await runtime.start(started)
    await until(async () => (await runtime.observe([started.instanceId]))[0]?.state === 'exited')
    expect(await readAll(runtime, started.instanceId)).toBe('hello from the tool\nhello from the tool\n')
    await runtime.sweep()
    expect(await readdir(join(dataDir, 'tools'))).toEqual(['greeter-1'])
  })

  it('fails the build if a tool has no such program, and leaves nothing', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const request = (source: SuppliedTool['source']) =>
      buildRequest(fileSource({}), { startCommand: 'true', tools: [{ ...greeter, source }] })
    for (const source of [fileSource({ README: 'something else' }), fileSource({ 'bin/greet': 'not executable' }, 0o644)])
      await expect(runtime.build(request(source), quiet())).rejects.toMatchObject({
        code: 'SOURCE_REJECTED',
        message: 'The source of Greeter 1 has no executable bin/greet.',
      })
    expect([await readdir(join(dataDir, 'tools')), await readdir(join(dataDir, 'work'))]).toEqual([[], []])
  })

  it('are private files that name both ports, and nobody else can read', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox })
    const server = `require('node:http').createServer((_, r) => r.end(require('node:fs').readFileSync(process.env.QUAYSIDE_FILES + '/app.conf')))`
    const source = fileSource({ 'serve.js': `const s = ${server}; s.listen(process.env.PORT, '127.0.0.1')` })
    const release = await runtime.build(buildRequest(source, { startCommand: 'node serve.js' }), quiet())
    let places: Places | null = null
    const files = (given: Places) => {
      places = given
      return { 'app.conf': `secret ${given.port} ${given.secondPort} ${given.app}` }
    }
    const request = startRequest(release, { files, secondPort: true })
    await runtime.start(request)
    await untilHealthy(runtime, request.instanceId)
    const [first, second] = [runtime.addressOf(request.instanceId)!, runtime.addressOf(request.instanceId, 'second')!]
    expect(places).toMatchObject({ port: first.port, secondPort: second.port })
    expect(second.port).not.toBe(first.port)
    const text = await (await fetch(`http://127.0.0.1:${first.port}/`)).text()
    expect(text).toBe(`secret ${first.port} ${second.port} ${places!.app}`)
    const [file] = (await readdir(dataDir, { recursive: true })).filter((name) => name.endsWith('app.conf'))
    expect((await stat(join(dataDir, file!))).mode & 0o777).toBe(0o600)
    await runtime.forget(request.instanceId)
    expect((await readdir(dataDir, { recursive: true })).filter((name) => name.endsWith('app.conf'))).toEqual([])
    expect(await readdir(join(dataDir, 'ports'))).toEqual([])
    const command = 'cat "$QUAYSIDE_FILES/app.conf"; ls -ld "$QUAYSIDE_FILES/app.conf" | cut -c1-10'
    expect(await outputOf(runtime, command, { kind: 'worker', files: () => ({ 'app.conf': 'x\n' }) })).toBe('x\n-rw-------\n')
    const log = recording()
    const place = { serviceId: request.serviceId, deploymentId: request.deploymentId, digest: release.digest, env: {} }
    await runtime.runReleaseCommand({ ...place, command, files: ({ port }) => ({ 'app.conf': `${port}\n` }) }, log)
    expect(log.text()).toBe('null\n-rw-------\n')
  })

  it('is refused if the name of a file leaves the directory', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(buildRequest(fileSource({}), { startCommand: 'true' }), quiet())
    for (const name of ['../x', '.hidden', 'a/b', ''])
      await expect(runtime.start(startRequest(release, { files: () => ({ [name]: '' }) }))).rejects.toMatchObject({ code: 'START_FAILED' })
  })
})
