import { describe, expect, it } from 'vitest'
import { classify, Failure } from '../../src/drivers/http/failure.ts'
import { PortError } from '../../src/platform/errors.ts'

const fault = (code: string, syscall = 'connect') => Object.assign(new Error(code), { code, syscall })
const judged = (error: Error, wasConnected = false) => {
  const made = classify(error, { wasConnected, host: 'hooks.test', addresses: [{ address: '192.0.2.1' }] })
  return made instanceof Failure ? made.errorClass : made instanceof PortError ? made.code : 'another'
}

describe('classify', () => {
  it.each(['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'EACCES', 'EPERM', 'EINVAL', 'EAFNOSUPPORT'])(
    'calls %s at connecting a missing route, which is a fault of our own',
    (code) => {
      expect(judged(fault(code))).toBe('NO_ROUTE')
    },
  )

  it.each(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])('calls %s a local fault', (code) => {
    expect(judged(fault(code))).toBe('LOCAL')
  })

  it('says that a name has only IPv6 addresses', () => {
    const addresses = [{ address: '2001:db8::1' }, { address: '2001:db8::2' }]
    const { message } = classify(fault('ENETUNREACH'), { wasConnected: false, host: 'hooks.test:443', addresses })
    expect(message).toBe('There is no route from this machine to hooks.test:443, which has only an IPv6 address (ENETUNREACH).')
  })

  it('calls it a timeout if no address responded in time, and refused, not reset, if none was reached', () => {
    expect(judged(Object.assign(new Error('all of them'), { code: 'ERR_SOCKET_CONNECTION_TIMEOUT' }))).toBe('timeout')
    expect(judged(fault('ETIMEDOUT'))).toBe('timeout')
    expect(judged(fault('ECONNRESET'))).toBe('refused')
    expect(judged(fault('ECONNRESET', 'read'), true)).toBe('reset')
  })

  it('calls a lost route on an established connection a reset, because the request may have arrived', () => {
    for (const code of ['EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN']) expect(judged(fault(code, 'read'), true)).toBe('reset')
  })

  it('blames the receiver if one of its addresses responded, whichever was tried first', () => {
    for (const codes of [
      ['ENETUNREACH', 'ECONNREFUSED'],
      ['ECONNREFUSED', 'ENETUNREACH'],
    ]) {
      const errors = codes.map((code) => fault(code))
      expect(judged(Object.assign(new AggregateError(errors), { code: codes[0] }))).toBe('refused')
    }
    const noRoute = [fault('ENETUNREACH'), fault('EHOSTUNREACH')]
    expect(judged(Object.assign(new AggregateError(noRoute), { code: 'ENETUNREACH' }))).toBe('NO_ROUTE')
  })
})
