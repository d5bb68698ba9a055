/** Reading the credential of a request. */
import { describe, expect, it } from 'vitest'
import { credentialOfHeaders, credentialOfSocket } from '../../src/platform/credential.ts'

describe('headers', () => {
  it.each([
    [{ authorization: 'Bearer one' }, 'one'],
    [{ authorization: 'bearer  one ' }, 'one'],
    [{ 'x-api-key': 'one' }, 'one'],
    [{ authorization: 'Bearer one', 'x-api-key': 'other' }, 'one'],
  ])('%j carry a credential', (headers, credential) => {
    expect(credentialOfHeaders(headers)).toBe(credential)
  })
  it.each([
    {},
    { authorization: '' },
    { authorization: 'Bearer' },
    { authorization: 'Bearer ' },
    { authorization: 'Bearer one two' },
    { authorization: 'Basic b25lOnR3bw==' },
    { authorization: 'one' },
    { 'x-api-key': '' },
    { 'x-api-key': ['one', 'two'] },
    { apikey: 'one' },
    { cookie: 'authorization=Bearer one' },
  ])('%j carry none', (headers) => {
    expect(credentialOfHeaders(headers)).toBeNull()
  })
  it('a malformed Authorization is refused, also beside a good X-API-Key', () => {
    for (const authorization of ['', 'Bearer', 'Basic b25lOnR3bw==', 'Bearer one two'])
      expect(credentialOfHeaders({ authorization, 'x-api-key': 'one' })).toBeNull()
  })
})

describe('a WebSocket', () => {
  const headers = { authorization: 'Bearer upgrade' }

  it.each([
    { authorization: 'Bearer one' },
    { Authorization: 'Bearer one' },
    { apiKey: 'one' },
    { APIKEY: 'one' },
    { 'X-API-Key': 'one' },
    { authorization: 'Bearer one', apiKey: 'other' },
    { apiKey: 'one', 'x-api-key': 'other' },
  ])('%j carry a credential in connectionParams', (params) => {
    expect(credentialOfSocket(params, headers)).toBe('one')
  })
  it.each([undefined, {}, { other: 'one' }])('%j leave it to the headers of the upgrade', (params) => {
    expect(credentialOfSocket(params, headers)).toBe('upgrade')
    expect(credentialOfSocket(params, {})).toBeNull()
  })
  it.each([
    { authorization: null },
    { authorization: 'one' },
    { authorization: ['Bearer one'] },
    { authorization: 'Basic b25lOnR3bw==', apiKey: 'one' },
    { apiKey: '' },
    { apiKey: null },
    { apiKey: 1 },
    { apiKey: { toString: 'one' } },
    { apiKey: '', 'x-api-key': 'one' },
  ])('%j are malformed and refused, whatever the headers of the upgrade carry', (params) => {
    expect(credentialOfSocket(params, headers)).toBeNull()
  })
  it('one name in two spellings is ambiguous and refused', () => {
    expect(credentialOfSocket({ authorization: 'Bearer one', Authorization: 'Bearer two' }, headers)).toBeNull()
    expect(credentialOfSocket({ apiKey: 'one', APIKEY: 'two' }, headers)).toBeNull()
  })
})
