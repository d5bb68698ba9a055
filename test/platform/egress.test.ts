import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createEgressGuard, EgressError } from '../../src/platform/egress.ts'

const closed = createEgressGuard({ allow: [] })
const answering =
  (...addresses: string[]) =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))

async function refusal(resolving: Promise<unknown>): Promise<EgressError> {
  const outcome = await resolving.then(
    (addresses) => addresses,
    (error: unknown) => error,
  )
  expect(outcome).toBeInstanceOf(EgressError)
  return outcome as EgressError
}

const bytesOf = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff)
const dotted = (value: number) => bytesOf(value).join('.')
const hexPair = (value: number) => `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`
const wrappings = (value: number) => [
  `::ffff:${dotted(value)}`,
  `[::ffff:${hexPair(value)}]`,
  `::${hexPair(value)}`,
  `::ffff:0:${hexPair(value)}`,
  `64:ff9b::${hexPair(value)}`,
  `2002:${hexPair(value)}::1`,
  `2001:0:${hexPair(value)}:0:0:${hexPair(~value >>> 0)}`,
]

const privateBases = [
  ['10.0.0.0', 8],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
  ['0.0.1.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const
const toNumber = (text: string) => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
const privateV4 = fc
  .constantFrom(...privateBases)
  .chain(([base, bits]) => fc.integer({ min: 0, max: 2 ** (32 - bits) - 1 }).map((offset) => toNumber(base) + offset))

describe('createEgressGuard', () => {
  it.each([
    ['loopback', '127.0.0.1'],
    ['private', '10.1.2.3'],
    ['private', '172.31.255.255'],
    ['private', '192.168.0.1'],
    ['link-local and metadata', '169.254.169.254'],
    ['metadata in public space', '168.63.129.16'],
    ['CGNAT and metadata', '100.100.100.200'],
    ['unspecified', '0.0.0.0'],
    ['broadcast', '255.255.255.255'],
    ['multicast', '239.1.1.1'],
    ['documentation', '203.0.113.9'],
    ['benchmarking', '198.18.0.1'],
    ['reserved', '192.0.0.192'],
    ['reserved', '250.0.0.1'],
    ['unspecified', '::'],
    ['loopback', '[::1]'],
    ['link-local', 'fe80::1'],
    ['link-local with a zone', 'fe80::1%eth0'],
    ['site-local', 'fec0::1'],
    ['unique local and metadata', 'fd00:ec2::254'],
    ['multicast', 'ff02::1'],
    ['documentation', '2001:db8::1'],
    ['discard', '100::1'],
    ['not global unicast', '4000::1'],
    ['mapped', '::ffff:127.0.0.1'],
    ['mapped, though public inside', '::ffff:8.8.8.8'],
    ['compatible', '::7f00:1'],
    ['NAT64', '64:ff9b::7f00:1'],
    ['local NAT64', '64:ff9b:1::7f00:1'],
    ['6to4', '2002:7f00:1::'],
    ['Teredo', '2001:0:4136:e378:8000:63bf:80ff:fffe'],
    ['decimal', '2130706433'],
    ['hex', '0x7f.1'],
    ['octal', '0177.0.0.1'],
    ['full-width digits', '１２７.0.0.1'],
    ['closing dot', '127.0.0.1.'],
  ])('refuses %s: %s', async (_kind, host) => {
    const error = await refusal(closed.resolve(host))
    expect(error.reason).toBe('blocked')
    expect(error.message).toContain('EGRESS_ALLOW')
  })

  it.each(['8.8.8.8', '1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111', '[2a00:1450:4001::200e]'])(
    'returns a public address without a lookup: %s',
    async (host) => {
      const guard = createEgressGuard({ allow: [], lookup: () => Promise.reject(new Error('looked up')) })
      const address = host.replace(/[[\]]/g, '')
      expect(await guard.resolve(host)).toEqual([{ address, family: address.includes(':') ? 6 : 4 }])
    },
  )

  it('refuses a private address in every notation and every embedding', async () => {
    await fc.assert(
      fc.asyncProperty(privateV4, async (value) => {
        const [a = 0, ...rest] = bytesOf(value)
        const spellings = [
          dotted(value),
          String(value),
          `0x${value.toString(16)}`,
          `0${value.toString(8)}`,
          `${a}.${value & 0xffffff}`,
          `0x${a.toString(16)}.${rest.map((byte) => `0${byte.toString(8)}`).join('.')}`,
        ]
        for (const host of [...spellings, ...wrappings(value)]) expect((await refusal(closed.resolve(host))).reason).toBe('blocked')
      }),
    )
  })

  it('accepts an allowed address in every embedding, and its neighbour in none', async () => {
    await fc.assert(
      fc.asyncProperty(privateV4, async (value) => {
        const guard = createEgressGuard({ allow: [`${dotted(value)}/32`] })
        for (const host of [dotted(value), ...wrappings(value)]) expect(await guard.resolve(host)).toHaveLength(1)
        for (const host of [dotted(value ^ 1), ...wrappings(value ^ 1)]) expect((await refusal(guard.resolve(host))).reason).toBe('blocked')
      }),
    )
  })

  it('refuses every IPv6 address outside global unicast', async () => {
    const group = fc.integer({ min: 0, max: 0xffff })
    const outside = fc.tuple(group, ...Array.from({ length: 7 }, () => group)).filter(([first]) => first < 0x2000 || first > 0x3fff)
    await fc.assert(
      fc.asyncProperty(outside, async (groups) => {
        const host = groups.map((part) => part.toString(16)).join(':')
        expect((await refusal(closed.resolve(host))).reason).toBe('blocked')
      }),
    )
  })

  it('returns all addresses of a name, in the order of the response, from one lookup', async () => {
    const asked: string[] = []
    const guard = createEgressGuard({
      allow: [],
      lookup: (hostname) => {
        asked.push(hostname)
        return answering('2606:4700::1', '1.2.3.4')()
      },
    })
    expect(await guard.resolve('Hooks.Example.COM')).toEqual([
      { address: '2606:4700::1', family: 6 },
      { address: '1.2.3.4', family: 4 },
    ])
    expect(asked).toEqual(['hooks.example.com'])
  })

  it('refuses a name when one of its addresses is refused, and names that address', async () => {
    const guard = createEgressGuard({ allow: [], lookup: answering('1.2.3.4', '10.0.0.7') })
    const error = await refusal(guard.resolve('hooks.example.com'))
    expect(error.reason).toBe('blocked')
    expect(error.message).toContain('10.0.0.7')
  })

  it('refuses a name whose answer is not an address', async () => {
    const guard = createEgressGuard({ allow: ['0.0.0.0/0', '::/0'], lookup: answering('0x7f.0.0.1') })
    expect((await refusal(guard.resolve('hooks.example.com'))).reason).toBe('blocked')
  })

  it('throws dns for a name that does not resolve, has no address, or is invalid', async () => {
    const failing = createEgressGuard({ allow: [], lookup: () => Promise.reject(new Error('ENOTFOUND')) })
    const empty = createEgressGuard({ allow: [], lookup: answering() })
    expect((await refusal(failing.resolve('missing.example.com'))).reason).toBe('dns')
    expect((await refusal(empty.resolve('missing.example.com'))).reason).toBe('dns')
    for (const host of ['', ' ', 'a b', 'a/b', 'a@b', 'a:80', 'a\tb', 'a\u0000b', '1.2.3.256', '[::1', '[nonsense]', 'a%2eb']) {
      const error = await refusal(failing.resolve(host))
      expect(error.reason).toBe('dns')
      expect(error.message).toBe('The host name is not valid.')
    }
  })

  it.each(['EAI_AGAIN', 'ETIMEOUT', 'ECONNREFUSED', 'EMFILE'])('throws resolver, not dns, for %s', async (code) => {
    const guard = createEgressGuard({ allow: [], lookup: () => Promise.reject(Object.assign(new Error(code), { code })) })
    expect(await refusal(guard.resolve('hooks.example.com'))).toMatchObject({
      reason: 'resolver',
      message: expect.stringContaining('at present'),
    })
  })

  it.each(['ENOTFOUND', 'ENODATA', 'EAI_FAIL'])('throws dns for %s', async (code) => {
    const guard = createEgressGuard({ allow: [], lookup: () => Promise.reject(Object.assign(new Error(code), { code })) })
    expect((await refusal(guard.resolve('hooks.example.com'))).reason).toBe('dns')
  })

  it('uses the system resolver by default', async () => {
    const guard = createEgressGuard({ allow: ['127.0.0.0/8', '::1'] })
    expect(['127.0.0.1', '::1']).toContain((await guard.resolve('localhost'))[0]?.address)
  })

  it('a listed embedding range allows public addresses in it, not private ones', async () => {
    const guard = createEgressGuard({ allow: ['64:ff9b::/96'] })
    expect(await guard.resolve('64:ff9b::808:808')).toEqual([{ address: '64:ff9b::808:808', family: 6 }])
    expect((await refusal(guard.resolve('64:ff9b::a00:1'))).reason).toBe('blocked')
  })

  it('treats a mapped CIDR as its IPv4 network', async () => {
    const guard = createEgressGuard({ allow: ['::ffff:10.0.0.0/104'] })
    expect(await guard.resolve('10.9.9.9')).toHaveLength(1)
    expect((await refusal(guard.resolve('192.168.9.9'))).reason).toBe('blocked')
  })

  it('exempts addresses only if the list contains all of them', () => {
    const guard = createEgressGuard({ allow: [' 10.0.0.0/8 ', 'fd00::/8', '9.9.9.9'] })
    const exempt = (...addresses: string[]) => guard.isExempt(addresses.map((address) => ({ address })))
    expect(exempt('10.1.1.1', 'fd00::5', '::ffff:10.2.2.2', '9.9.9.9')).toBe(true)
    expect(exempt('10.1.1.1', '8.8.8.8')).toBe(false)
    expect(exempt('9.9.9.8')).toBe(false)
    expect(exempt('not an address')).toBe(false)
    expect(exempt()).toBe(false)
  })

  it.each(['', '10.0.0.0/33', '::/129', '10.0.0/8', '0x0a.0.0.0/8', 'localhost', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1'])(
    'throws for %j in the list, naming the setting',
    (entry) => {
      expect(() => createEgressGuard({ allow: ['10.0.0.0/8', entry] })).toThrow(`EGRESS_ALLOW: "${entry}"`)
    },
  )
})
