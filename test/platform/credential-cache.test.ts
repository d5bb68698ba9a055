import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Caller } from '../../src/platform/access.ts'
import { type Credential, cacheCredentials } from '../../src/platform/credential-cache.ts'
import type { Wake } from '../../src/platform/db/wake.ts'

/** Known credentials, the number of lookups of each, and the wake-up that announces changes. */
function world() {
  const known = new Map<string, Credential<Caller>>()
  const asked: string[] = []
  const listeners: (() => void)[] = []
  const wake: Pick<Wake, 'on'> = {
    on(_topic, listener) {
      listeners.push(listener)
      return () => {}
    },
  }
  let answers = Promise.resolve()
  const callerOf = cacheCredentials({ wake }, async (credential) => {
    asked.push(credential)
    const found = known.get(credential) ?? null
    await answers
    return found
  })
  return {
    known,
    asked,
    callerOf,
    changed: () => listeners.forEach((listener) => void listener()),
    /** Lookups have read their row, but only return when the returned function is called. */
    hold() {
      const held = Promise.withResolvers<void>()
      answers = held.promise
      return held.resolve
    },
  }
}

const caller = (name: string) => ({ subject: { type: 'api_key', id: name, name } }) as Caller
const holds = (name: string, expiresInMs: number | null = null): Credential<Caller> => ({ holder: caller(name), expiresInMs })

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

describe('a credential', () => {
  it('is looked up once a second, however often it is used', async () => {
    const { known, asked, callerOf } = world()
    known.set('a', holds('a'))
    for (let n = 0; n < 50; n++) expect(await callerOf('a')).toEqual(caller('a'))
    expect(asked).toEqual(['a'])
    vi.advanceTimersByTime(999)
    await callerOf('a')
    expect(asked).toHaveLength(1)
    vi.advanceTimersByTime(1)
    await callerOf('a')
    expect(asked).toHaveLength(2)
  })

  it('is looked up once for concurrent requests, which share a failure that is not cached', async () => {
    const { known, asked, callerOf } = world()
    known.set('a', holds('a'))
    expect(await Promise.all([callerOf('a'), callerOf('a'), callerOf('b')])).toEqual([caller('a'), caller('a'), null])
    expect(asked).toEqual(['a', 'b'])
    let failing = true
    const fails = cacheCredentials({ wake: { on: () => () => {} } }, async () => {
      if (failing) throw new Error('no database')
      return holds('a')
    })
    expect(await Promise.allSettled([fails('a'), fails('a')])).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }])
    failing = false
    expect(await fails('a')).toEqual(caller('a'))
  })

  it('that is unknown is looked up every time, because it may be created at any moment', async () => {
    const { known, asked, callerOf } = world()
    expect([await callerOf('a'), await callerOf('a')]).toEqual([null, null])
    known.set('a', holds('a'))
    expect(await callerOf('a')).toEqual(caller('a'))
    expect(asked).toHaveLength(3)
  })

  it('is forgotten when it expires', async () => {
    const { known, callerOf } = world()
    known.set('a', holds('a', 300))
    await callerOf('a')
    known.delete('a')
    vi.advanceTimersByTime(299)
    expect(await callerOf('a')).toEqual(caller('a'))
    vi.advanceTimersByTime(1)
    expect(await callerOf('a')).toBeNull()
  })

  it('is forgotten at once when credentials changed', async () => {
    const { known, callerOf, changed } = world()
    known.set('a', holds('a'))
    await callerOf('a')
    known.delete('a')
    changed()
    expect(await callerOf('a')).toBeNull()
  })

  it('whose look-up was in progress when credentials changed is neither shared nor cached', async () => {
    const { known, callerOf, changed, hold } = world()
    known.set('a', holds('a'))
    const release = hold()
    const before = callerOf('a')
    known.delete('a')
    changed()
    const after = callerOf('a')
    release()
    expect([await before, await after, await callerOf('a')]).toEqual([caller('a'), null, null])
  })

  it('is one of at most ten thousand in the cache', async () => {
    const { known, asked, callerOf } = world()
    for (let n = 0; n <= 10_000; n++) {
      known.set(`${n}`, holds(`${n}`))
      await callerOf(`${n}`)
    }
    asked.length = 0
    await callerOf('10000')
    await callerOf('1')
    expect(asked).toEqual([])
    await callerOf('0')
    expect(asked).toEqual(['0'])
  })
})

describe('with a limit of failures', () => {
  function limited() {
    const known = new Map<string, Credential<Caller>>()
    const asked: string[] = []
    const told: string[] = []
    let isUsedUp = false
    const callerOf = cacheCredentials(
      { wake: { on: () => () => {} } },
      async (credential) => {
        asked.push(credential)
        return known.get(credential) ?? null
      },
      {
        demand(repeated) {
          told.push(repeated ? 'again' : 'new')
          if (isUsedUp) throw new Error('used up')
        },
        count: () => void told.push('failed'),
      },
    )
    const useUp = () => {
      isUsedUp = true
    }
    return { known, asked, told, callerOf, useUp }
  }

  it('a credential is limited until it was valid, and again when it no longer is', async () => {
    const { known, told, callerOf } = limited()
    await callerOf('a')
    await callerOf('a')
    known.set('a', holds('a'))
    await callerOf('a')
    expect(told).toEqual(['new', 'failed', 'again', 'failed', 'again'])
    vi.advanceTimersByTime(1_000)
    await callerOf('a')
    known.delete('a')
    vi.advanceTimersByTime(1_000)
    await callerOf('a')
    await callerOf('a')
    expect(told.slice(5)).toEqual(['failed', 'again', 'failed'])
  })

  it('every request counts that shares a look-up', async () => {
    const { asked, told, callerOf } = limited()
    await Promise.all([callerOf('a'), callerOf('a'), callerOf('a')])
    expect(asked).toHaveLength(1)
    expect(told.filter((what) => what === 'failed')).toHaveLength(3)
  })

  it('that is used up, nothing is looked up, except what was valid', async () => {
    const { known, asked, callerOf, useUp } = limited()
    known.set('a', holds('a'))
    await callerOf('a')
    useUp()
    vi.advanceTimersByTime(1_000)
    expect(await callerOf('a')).toEqual(caller('a'))
    expect(() => callerOf('b')).toThrow('used up')
    expect(asked).toEqual(['a', 'a'])
  })
})
