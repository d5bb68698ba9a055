/** Live logs and changes over graphql-ws and server-sent events, interrupted and resumed, across a restart of the server. */
import { describe, expect, it } from 'vitest'
import { acceptance, type Data, type Line, refusalOf, until } from './support.ts'

const world = acceptance()

const deploymentLogs = `subscription ($id: ID!, $after: String) {
  deploymentLogs(deploymentId: $id, after: $after) { cursor complete gap { fromSeq } lines { seq message stream instanceId } } }`
const webServiceLogs = `subscription ($id: ID!, $after: String, $tail: Int) {
  webServiceLogs(webServiceId: $id, after: $after, tail: $tail) { cursor complete lines { seq message stream instanceId } } }`

/** Prints numbered lines for some seconds. */
const chattyBuild = 'for n in $(seq 1 150); do echo "step $n"; echo "aside $n" >&2; sleep 0.02; done'

async function chatty(name: string) {
  const repository = await world.app('lab')
  return world.service({ name, repositoryUrl: repository.url, buildCommand: chattyBuild })
}

const numbered = (lines: Line[]) => lines.map((line) => line.seq)
const gapless = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

describe('deploymentLogs', () => {
  it('arrive live over graphql-ws without gaps, and complete after the last line', async () => {
    const gate = await world.gate()
    const repository = await world.app('lab')
    const printed = (from: number, to: number) => `for n in $(seq ${from} ${to}); do echo "step $n"; echo "aside $n" >&2; done`
    const buildCommand = `${printed(1, 20)}; ${gate.wait}; ${printed(21, 150)}`
    const deployment = await world.deploy(await world.service({ name: 'Live log', repositoryUrl: repository.url, buildCommand }))
    const lines: Line[] = []
    let [batches, before] = [0, 0]
    let complete = false
    for await (const { deploymentLogs: batch } of world.server.subscribe(deploymentLogs, { id: deployment.id })) {
      batches++
      lines.push(...batch.lines)
      complete = batch.complete
      if (!complete && lines.some((line) => line.message === 'step 20') && before === 0) {
        before = lines.length
        // The build is still running: it waits.
        expect(await world.deployment(deployment.id)).toMatchObject({ status: 'RUNNING', phase: 'BUILD' })
        gate.open()
      }
    }
    expect(complete).toBe(true)
    expect(before).toBeLessThan(lines.length)
    expect(batches).toBeGreaterThan(1)
    expect(numbered(lines)).toEqual(gapless(lines.length))
    expect(lines.filter((line) => line.message.startsWith('step ')).map((line) => line.message)).toEqual(
      gapless(150).map((n) => `step ${n}`),
    )
    expect(lines.find((line) => line.message === 'aside 7')).toMatchObject({ stream: 'STDERR' })
    expect(lines.at(-1)!.message).toBe('The deployment is live.')
    expect(await world.log(deployment)).toEqual(lines)
  })

  it('continue after the last cursor, each line exactly once, over both transports in turn and across a restart of the server', async () => {
    const deployment = await world.deploy(await chatty('Cut log'))
    const lines: Line[] = []
    let after: string | null = null
    let complete = false
    for (let turn = 0; !complete; turn++) {
      let batches = 0
      if (turn % 2 === 0) {
        for await (const { deploymentLogs: batch } of world.server.subscribe(deploymentLogs, { id: deployment.id, after })) {
          lines.push(...batch.lines)
          ;({ cursor: after, complete } = batch as { cursor: string; complete: boolean })
          if (!complete && ++batches === 4) break
        }
      } else {
        for await (const { id, data } of world.server.events(deploymentLogs, { id: deployment.id, after: null }, after!)) {
          expect(id).toBe(data.deploymentLogs.cursor)
          lines.push(...data.deploymentLogs.lines)
          complete = data.deploymentLogs.complete
          after = id
          if (!complete && ++batches === 4) break
        }
      }
      if (turn === 2) {
        await world.server.kill('SIGTERM')
        await world.server.start()
      }
    }
    expect(numbered(lines)).toEqual(gapless(lines.length))
    expect(await world.log(deployment)).toEqual(lines)
    expect(await world.end(deployment)).toMatchObject({ status: 'LIVE' })
  })

  it('are complete for a subscriber after the end, and refused with the cursor of another log', async () => {
    const [one, other] = await Promise.all(
      ['One', 'Other'].map(async (name) => world.live(await world.service({ name, repositoryUrl: (await world.app('lab')).url }))),
    )
    const lines: Line[] = []
    let cursor = ''
    for await (const { data } of world.server.events(deploymentLogs, { id: one!.id })) {
      lines.push(...data.deploymentLogs.lines)
      cursor = data.deploymentLogs.cursor
    }
    expect(lines.at(-1)!.message).toBe('The deployment is live.')
    expect(await refusalOf(world.server.subscribe(deploymentLogs, { id: other!.id, after: cursor }).next())).toMatchObject({
      code: 'invalid_input',
      field: 'after',
    })
    expect(await refusalOf(world.server.subscribe(deploymentLogs, { id: 'dep_01h455vb4pex5vsknk084sn02q' }).next())).toMatchObject({
      code: 'not_found',
    })
  })
})

describe('webServiceLogs', () => {
  it('return the output of instances: new lines, the last ones, those after a cursor', async () => {
    const repository = await world.app('lab')
    const service = await world.service({ name: 'Printing', repositoryUrl: repository.url })
    await world.live(service)
    await world.server.router(service.slug, '/print?lines=5&tag=old')
    await until('they are stored', async () => (await world.serviceLog(service)).some((line) => line.message === 'old 5'))

    const fresh: Line[] = []
    let cursor = ''
    // Only its lines show that a subscription has started.
    const begun = until('lines arrive', async () => {
      await world.server.router(service.slug, '/print?lines=1&tag=begun')
      return fresh.length > 0
    })
    const asked = begun.then(() => world.server.router(service.slug, '/print?lines=3&tag=new'))
    for await (const { webServiceLogs: batch } of world.server.subscribe(webServiceLogs, { id: service.id })) {
      fresh.push(...batch.lines)
      cursor = batch.cursor
      if (fresh.at(-1)?.message === 'new 3') break
    }
    await asked
    const instanceId = (await world.read(service)).instances[0].id
    expect(fresh.slice(-3)).toMatchObject([1, 2, 3].map((n) => ({ message: `new ${n}`, stream: 'STDOUT', instanceId })))
    expect(fresh.some((line) => line.message.startsWith('old'))).toBe(false)

    await world.server.router(service.slug, '/print?lines=1&tag=last')
    for await (const { webServiceLogs: batch } of world.server.subscribe(webServiceLogs, { id: service.id, after: cursor })) {
      expect(batch.lines[0].seq).toBe(fresh.at(-1)!.seq + 1)
      break
    }
    await until('it is stored', async () => (await world.serviceLog(service)).some((line) => line.message === 'last 1'))
    for await (const { data } of world.server.events(webServiceLogs, { id: service.id, tail: 1 })) {
      expect(data.webServiceLogs.lines).toMatchObject([{ message: 'last 1' }])
      break
    }
    const all = await world.serviceLog(service)
    expect(numbered(all)).toEqual(gapless(all.length))
  })

  it('store a flood of output with every line once and in order', async () => {
    const repository = await world.app('lab')
    const service = await world.service({ name: 'Flooding', repositoryUrl: repository.url })
    await world.live(service)
    await world.server.router(service.slug, '/print?lines=20000&tag=flood')
    const lines: Line[] = []
    for await (const { webServiceLogs: batch } of world.server.subscribe(webServiceLogs, { id: service.id, tail: 10_000 })) {
      lines.push(...batch.lines)
      if (lines.at(-1)?.message === 'flood 20000') break
    }
    const all = (await world.serviceLog(service)).map((line) => line.message).filter((message) => message.startsWith('flood'))
    expect(all).toEqual(gapless(20_000).map((n) => `flood ${n}`))
  })
})

describe('deploymentUpdated', () => {
  it('returns the current state, each change with a higher version, and completes at the end', async () => {
    const deployment = await world.deploy(await chatty('Watched'))
    const states: Data[] = []
    for await (const { deploymentUpdated } of world.server.subscribe(
      'subscription ($id: ID!) { deploymentUpdated(deploymentId: $id) { status phase version steps { phase status } } }',
      { id: deployment.id },
    )) {
      states.push(deploymentUpdated)
    }
    const versions = states.map((state) => state.version)
    expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b))
    expect(states.map((state) => state.phase)).toContain('BUILD')
    expect(states.at(-1)).toMatchObject({ status: 'LIVE', phase: 'SWITCH' })
  })
})

describe('events', () => {
  const subscription =
    'subscription ($after: String, $types: [String!]) { events(after: $after, types: $types) { cursor type subjectId sequence data } }'

  it('show a deployment from beginning to end, and continue after a cursor', async () => {
    let from: string | null = null
    const opened = (async () => {
      for await (const { events } of world.server.subscribe(subscription, { types: ['project.*'] })) return events.cursor as string
      return null
    })()
    await until('an event arrives', async () => {
      await world.server.gql('mutation ($name: String!) { createProject(input: { name: $name }) { project { id } } }', {
        name: `P ${Math.random()}`,
      })
      return Promise.race([opened.then(() => true), new Promise((resolve) => setTimeout(() => resolve(false), 50))])
    })
    from = await opened
    const repository = await world.app('lab')
    const service = await world.service({ name: 'Told', repositoryUrl: repository.url })
    const deployment = await world.live(service)
    const read = async (after: string | null) => {
      const told: Data[] = []
      for await (const { data } of world.server.events(subscription, { types: ['deployment.*'] }, after!)) {
        if (data.events.subjectId !== deployment.id) continue
        told.push(data.events)
        if (data.events.type === 'deployment.succeeded') break
      }
      return told
    }
    const told = await read(from)
    expect(told.map((event) => event.type)).toEqual(['deployment.queued', 'deployment.started', 'deployment.succeeded'])
    expect(told.map((event) => event.sequence)).toEqual([1, 2, 3])
    expect(told[2]!.data).toMatchObject({
      deploymentId: deployment.id,
      webServiceId: service.id,
      status: 'LIVE',
      commitHash: deployment.commitHash,
    })
    expect((await read(told[0]!.cursor)).map((event) => event.type)).toEqual(['deployment.started', 'deployment.succeeded'])
  })
})
