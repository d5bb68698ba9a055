import { describe, expect, it } from 'vitest'
import { type Face, faceOf, pickDialect } from '../../../src/rest/core/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'

const platform: Face = {
  name: 'platform',
  prefixes: ['/api', '/api/v1'],
  keyPrefix: 'ak_live_',
  organizationHeader: false,
  paths: ['/projects', '/projects/{id}', '/web-services', '/web-services/{id}'],
}
const ocore: Face = {
  name: 'ocore',
  prefixes: ['/api'],
  keyPrefix: 'ocore_',
  organizationHeader: true,
  paths: ['/projects', '/projects/{project}', '/servers', '/auth/login'],
}
const oec: Face = {
  name: 'oec',
  prefixes: ['/api/public/v1'],
  keyPrefix: 'oec_live_',
  organizationHeader: false,
  paths: ['/projects'],
}
const bridge: Face = {
  name: 'bridge',
  prefixes: [''],
  areas: ['/bridge', '/call', '/speed-test'],
  keyPrefix: 'qb_live_',
  organizationHeader: false,
  paths: ['/call', '/bridge/keys', '/speed-test'],
}
const faces = [platform, ocore, oec, bridge]
const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
const jwt = bearer('eyJhbGciOiJFZERTQSJ9.e30.c2ln')
const org = { 'x-org-slug': 'acme' }

describe('the dialect of a request', () => {
  it.each([
    ['a path that only one contract has belongs to it, whatever the key', '/api/servers', bearer('ak_live_x'), 'ocore'],
    ['a path that only one contract has needs no header', '/api/auth/login', {}, 'ocore'],
    ['a path that only one contract has belongs to it, whatever the header', '/api/web-services/1', { ...jwt, ...org }, 'platform'],
    ['on a shared path the prefix of the key decides', '/api/projects', bearer('ocore_k_x'), 'ocore'],
    ['on a shared path the prefix of the key decides against the header', '/api/projects', { ...bearer('ak_live_x'), ...org }, 'platform'],
    ['a key in X-API-Key counts', '/api/projects', { 'x-api-key': 'ocore_k_x' }, 'ocore'],
    ['Authorization wins over X-API-Key', '/api/projects', { ...bearer('ak_live_x'), 'x-api-key': 'ocore_k_x' }, 'platform'],
    ['a JWT with the header', '/api/projects', { ...jwt, ...org }, 'ocore'],
    ['a JWT without the header', '/api/projects', jwt, 'platform'],
    ['a cookie with the header', '/api/projects', { cookie: 'access_token=x', ...org }, 'ocore'],
    ['no credential with the header', '/api/projects/1', org, 'ocore'],
    ['no credential without the header', '/api/projects/1', {}, 'platform'],
    ['a key of a third face counts as none', '/api/projects', bearer('oec_live_ro_x'), 'platform'],
    ['the longest prefix wins', '/api/public/v1/projects', bearer('ak_live_x'), 'oec'],
    ['an alias has the paths of its dialect alone', '/api/v1/projects', bearer('ocore_k_x'), 'platform'],
    ['a query is no part of the path', '/api/servers?limit=1', {}, 'ocore'],
    ['a trailing slash is the same path', '/api/servers/', {}, 'ocore'],
    ['a parameter is not empty', '/api/web-services//', org, 'ocore'],
    ['an unknown path goes by key', '/api/nope', bearer('ocore_k_x'), 'ocore'],
    ['an unknown path goes by header', '/api/nope', org, 'ocore'],
    ['an unknown path goes to the one without the header', '/api/nope', {}, 'platform'],
    ['a dialect without a prefix has its areas', '/call', bearer('ak_live_x'), 'bridge'],
    ['everything in an area belongs to its dialect', '/bridge/nope', {}, 'bridge'],
    ['the bare prefix goes likewise', '/api', {}, 'platform'],
  ])('%s: %s', (_title, path, headers, name) => {
    expect(pickDialect(faces, path, headers)).toBe(name)
  })

  it.each(['/', '/graphql', '/apis', '/api-keys', '/calls', '/keys'])('%s belongs to no dialect', (path) => {
    expect(pickDialect(faces, path, bearer('ak_live_x'))).toBeNull()
  })

  it('a dialect that is mounted alone gets every path below its prefixes', () => {
    const alone = [faceOf(platformDialect)]
    for (const path of ['/api/projects', '/api/servers', '/api/v1/x', '/api']) expect(pickDialect(alone, path, org)).toBe('platform')
  })
})
