import { describe, expect, it } from 'vitest'
import {
  base32,
  codeAt,
  hashRecoveryCode,
  newRecoveryCodes,
  oneTimePassword,
  otpauthUrl,
  stepOf,
} from '../../../src/domain/access/totp/code.ts'

const secret = Buffer.from('12345678901234567890')

describe('a one-time password', () => {
  it.each([
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ])('at %i s is as in appendix B of RFC 6238', (seconds, code) => {
    expect(codeAt(secret, Math.floor(seconds / 30))).toBe(code)
  })

  it('is accepted one step before and after its own, once, and none before it afterwards', () => {
    const steps = (lastStep: number) => [97, 98, 99, 100, 101, 102, 103].map((step) => stepOf(secret, codeAt(secret, step), 100, lastStep))
    expect(steps(0)).toEqual([null, null, 99, 100, 101, null, null])
    expect(steps(100)).toEqual([null, null, null, null, 101, null, null])
    expect(steps(101)).toEqual(Array(7).fill(null))
  })

  it('may be typed in groups', () => {
    expect(oneTimePassword(' 123 456 ')).toBe('123456')
    for (const text of ['12345', '1234567', '12345a', '１２３４５６', '']) expect(oneTimePassword(text)).toBeNull()
  })
})

it.each([
  ['', ''],
  ['f', 'my'],
  ['fo', 'mzxq'],
  ['foo', 'mzxw6'],
  ['foob', 'mzxw6yq'],
  ['fooba', 'mzxw6ytb'],
  ['foobar', 'mzxw6ytboi'],
])('base32 of "%s" is as in RFC 4648', (text, expected) => {
  expect(base32(Buffer.from(text))).toBe(expected)
})

it('the URL for authenticator apps names the issuer, the account and all parameters', () => {
  const url = new URL(otpauthUrl(secret, 'ada+test@example.com'))
  expect(url.href).toMatch(/^otpauth:\/\/totp\/Quayside:ada%2Btest%40example\.com\?/)
  expect(Object.fromEntries(url.searchParams)).toEqual({
    secret: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ',
    issuer: 'Quayside',
    algorithm: 'SHA1',
    digits: '6',
    period: '30',
  })
})

it('recovery codes are eight of 80 bits, all different, and may be typed without hyphens and in upper case', () => {
  const codes = newRecoveryCodes()
  expect(new Set(codes).size).toBe(8)
  for (const code of codes) {
    expect(code).toMatch(/^[a-z2-7]{4}(-[a-z2-7]{4}){3}$/)
    expect(hashRecoveryCode(code.replaceAll('-', ' ').toUpperCase())).toEqual(hashRecoveryCode(code))
  }
})
