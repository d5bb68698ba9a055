/** A stop of everything: accepted requests are answered, and running services do not count as crashed. */
import { expect, it } from 'vitest'
import { loadApi } from '../support/api-load.ts'
import { acceptance, type Data, until } from './support.ts'

const world = acceptance()

const mark = async (): Promise<string> =>
  (await world.server.gql('mutation { createProject(input: { name: "Marker" }) { project { id } } }')).createProject.project.id

/** Cursor of the newest event. */
async function cursorNow(): Promise<string> {
  const stream = world.server.subscribe('subscription { events { cursor } }')
  const first = stream.next()
  let isThere = false
  void first.then(() => {
    isThere = true
  })
  await until('events arrive', async () => isThere || (await mark()) === null)
  const { value } = await first
  await stream.return()
  return (value as Data).events.cursor
}

/** The types of a service's events after a cursor, in order. */
async function eventsOf(service: Data, after: string): Promise<string[]> {
  const marker = await mark()
  const types: string[] = []
  for await (const { events } of world.server.subscribe('subscription ($after: String) { events(after: $after) { type subjectId } }', {
    after,
  })) {
    if (events.subjectId === marker) break
    if (events.subjectId === service.id) types.push(events.type)
  }
  return types
}

it.each([
  ['npm stop', () => world.server.stop()],
  ['SIGINT, as by Ctrl-C', () => world.server.kill('SIGINT')],
])('%s and a start publish no crash and no recovery, and count no restart', async (what, stop) => {
  const repository = await world.app('lab')
  const service = await world.service({ name: what.replace(/[^a-z]/gi, ' '), repositoryUrl: repository.url, minInstances: 2 })
  await world.live(service)
  const running = () =>
    until('it runs', async () => {
      const now = await world.read(service)
      return now.status === 'RUNNING' && now.instances.length === 2 && now
    })
  const before = await running()
  const cursor = await cursorNow()
  await stop()
  await world.server.start()
  await until('it answers', async () => (await world.server.router(service.slug)).status === 200)
  const after = await running()
  expect(after.instances).toMatchObject(
    before.instances.map(({ id }: Data) => ({ id, status: 'RUNNING', restarts: 0, lastExitCode: null })),
  )
  expect((await eventsOf(service, cursor)).filter((type) => /crashed|recovered/.test(type))).toEqual([])
  expect((await world.serviceLog(service)).filter((line) => line.message.includes('started again'))).toEqual([])
})

it('no accepted request of the API fails at SIGTERM, on kept and on new connections', async () => {
  for (let round = 0; round < 3; round++) {
    const { load, ended } = loadApi({ url: world.server.url, key: world.server.key })
    await until('requests are answered', () => load.answered > 200)
    expect(await world.server.process.kill('SIGTERM')).toBe(0)
    expect(await ended).toMatchObject({ failures: [], refused: 8 })
    await world.server.start()
  }
})
