import { describe, expect, it } from 'vitest'
import { classify, Failure } from '../../src/drivers/http/failure.ts'

const fault = (code: string, syscall = 'connect') => Object.assign(new Error(code), { code, syscall })
const judged = (error: Error) => {
  const made = classify(error, null, 'hooks.test')
  return made instanceof Failure ? made.errorClass : made === error ? 'own' : 'another'
}

describe('classify', () => {
  it.each(['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'EMFILE', 'ENFILE'])(
    'leaves %s at connecting as a fault of our own',
    (code) => {
      expect(judged(fault(code))).toBe('own')
    },
  )

  it('calls a lost route reset on a connection that stood: the request may have arrived', () => {
    for (const code of ['EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN']) expect(judged(fault(code, 'read'))).toBe('reset')
  })

  it('charges the receiver when one of its addresses answered, whichever was tried first', () => {
    for (const codes of [
      ['ENETUNREACH', 'ECONNREFUSED'],
      ['ECONNREFUSED', 'ENETUNREACH'],
    ]) {
      const errors = codes.map((code) => fault(code))
      expect(judged(Object.assign(new AggregateError(errors), { code: codes[0] }))).toBe('refused')
    }
    const noRoute = [fault('ENETUNREACH'), fault('EHOSTUNREACH')]
    expect(judged(Object.assign(new AggregateError(noRoute), { code: 'ENETUNREACH' }))).toBe('own')
  })
})
