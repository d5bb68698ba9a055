/** SIGTERM while requests come in: what was taken is answered. */
import { expect, it } from 'vitest'
import { loadApi } from '../support/api-load.ts'
import { acceptance, until } from './support.ts'

const world = acceptance()

it('no request of the API that was taken fails at SIGTERM, on kept and on fresh connections', async () => {
  for (let round = 0; round < 3; round++) {
    const { load, ended } = loadApi({ url: world.server.url, key: world.server.key })
    await until('requests are answered', () => load.answered > 200)
    expect(await world.server.process.kill('SIGTERM')).toBe(0)
    expect(await ended).toMatchObject({ failures: [], refused: 8 })
    await world.server.start()
  }
})
