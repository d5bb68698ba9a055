import { expect, it } from 'vitest'
import { currentOrigin, forwardedOf, onBehalfOf, trustOf } from '../../src/platform/forwarded.ts'

const trust = trustOf(['10.0.0.0/8', 'fd00::/8'])
const asked = (remoteAddress: string, headers: Record<string, string>) => forwardedOf({ socket: { remoteAddress }, headers }, trust)

it.each([
  [
    'only the peer address if it is not a trusted proxy',
    '9.9.9.9',
    { 'x-forwarded-for': '1.2.3.4', 'x-forwarded-proto': 'https' },
    ['9.9.9.9'],
    null,
  ],
  [
    'the client that a trusted proxy names',
    '10.0.0.1',
    { 'x-forwarded-for': '1.2.3.4', 'x-forwarded-proto': 'https' },
    ['1.2.3.4', '10.0.0.1'],
    'https',
  ],
  [
    'the first that is no proxy, from the right',
    '10.0.0.1',
    { 'x-forwarded-for': '6.6.6.6, 1.2.3.4, 10.0.0.2' },
    ['1.2.3.4', '10.0.0.2', '10.0.0.1'],
    null,
  ],
  ['the proxy where it names nobody', '10.0.0.1', {}, ['10.0.0.1'], null],
  ['the proxy where it names no address', '10.0.0.1', { 'x-forwarded-for': '6.6.6.6, unknown' }, ['10.0.0.1'], null],
  ['an address in any clothes', '::ffff:10.0.0.1', { 'x-forwarded-for': '[2001:db8::1]:443' }, ['2001:db8::1', '10.0.0.1'], null],
  [
    'no scheme that is none',
    'fd00::1',
    { 'x-forwarded-for': '1.2.3.4:80', 'x-forwarded-proto': 'javascript' },
    ['1.2.3.4', 'fd00::1'],
    null,
  ],
] as [string, string, Record<string, string>, string[], string | null][])('trusts %s', (_what, peer, headers, chain, proto) => {
  expect(asked(peer, headers)).toMatchObject({ client: chain[0], chain, proto })
})

it('provides the client to work on its behalf, including later work, and to nothing else', async () => {
  const client = { address: '1.2.3.4', userAgent: null, door: 'graphql' }
  const later = onBehalfOf(client, async () => {
    await Promise.resolve()
    return currentOrigin()
  })
  expect(currentOrigin()).toBeNull()
  expect(await later).toEqual(client)
})
