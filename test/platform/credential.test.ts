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
    expect(credentialOfHeaders(headers)).toEqual({ text: credential, organization: null, fromCookie: false })
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
  it('a malformed Authorization is refused, also beside a good X-API-Key and a good cookie', () => {
    for (const authorization of ['', 'Bearer', 'Basic b25lOnR3bw==', 'Bearer one two'])
      expect(credentialOfHeaders({ authorization, 'x-api-key': 'one', cookie: 'access_token=one' })).toBeNull()
    expect(credentialOfHeaders({ 'x-api-key': '', cookie: 'access_token=one' })).toBeNull()
  })

  it.each(['access_token=one', 'theme=dark; access_token=one', 'access_token=one;theme=dark', 'my_access_token=two; access_token=one'])(
    'the cookie counts without another credential: %s',
    (cookie) => {
      expect(credentialOfHeaders({ cookie })).toEqual({ text: 'one', organization: null, fromCookie: true })
      expect(credentialOfHeaders({ cookie, authorization: 'Bearer other' })).toEqual({
        text: 'other',
        organization: null,
        fromCookie: false,
      })
    },
  )
  it.each(['', 'access_token=', 'access_token', 'token=one', 'ACCESS_TOKEN=one', 'access_token=one; access_token=two'])(
    'a cookie that is absent, empty or ambiguous carries none: %j',
    (cookie) => {
      expect(credentialOfHeaders({ cookie })).toBeNull()
    },
  )

  it('name the organization in X-Org-Slug', () => {
    for (const headers of [{ authorization: 'Bearer one' }, { 'x-api-key': 'one' }, { cookie: 'access_token=one' }])
      expect(credentialOfHeaders({ ...headers, 'x-org-slug': 'acme' })).toMatchObject({ text: 'one', organization: 'acme' })
    expect(credentialOfHeaders({ 'x-org-slug': 'acme' })).toBeNull()
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
    expect(credentialOfSocket(params, headers)).toEqual({ text: 'one', organization: null, fromCookie: false })
  })
  it.each([undefined, {}, { other: 'one' }])('%j leave it to the headers of the upgrade', (params) => {
    expect(credentialOfSocket(params, headers)?.text).toBe('upgrade')
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
  it('takes the cookie and the organization from the upgrade, unless params name others', () => {
    const cookie = { cookie: 'access_token=two', 'x-org-slug': 'acme' }
    expect(credentialOfSocket({}, cookie)).toEqual({ text: 'two', organization: 'acme', fromCookie: true })
    expect(credentialOfSocket({ 'X-Org-Slug': 'other' }, cookie)).toEqual({ text: 'two', organization: 'other', fromCookie: true })
    expect(credentialOfSocket({ apiKey: 'one' }, cookie)).toEqual({ text: 'one', organization: 'acme', fromCookie: false })
    expect(credentialOfSocket({ apiKey: 'one', 'x-org-slug': 1 }, {})).toMatchObject({ organization: '' })
  })
  it('one name in two spellings is ambiguous and refused', () => {
    expect(credentialOfSocket({ authorization: 'Bearer one', Authorization: 'Bearer two' }, headers)).toBeNull()
    expect(credentialOfSocket({ apiKey: 'one', APIKEY: 'two' }, headers)).toBeNull()
  })
})
