/** The rules of decisions.md, "Which dialect", in all combinations of credential, header and path. */
import type { IncomingHttpHeaders } from 'node:http'
import { describe, expect, it } from 'vitest'
import { authDialect } from '../../../src/rest/auth/index.ts'
import { bridgeDialect } from '../../../src/rest/bridge/index.ts'
import { faceOf, pickDialect } from '../../../src/rest/core/index.ts'
import { ocoreDialect } from '../../../src/rest/ocore/index.ts'
import { oecDialect } from '../../../src/rest/oec/index.ts'
import { platformDialect } from '../../../src/rest/platform/index.ts'

const faces = [platformDialect, authDialect, ocoreDialect, oecDialect, bridgeDialect].map(faceOf)

const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
const apiKey = (text: string) => ({ 'x-api-key': text })
const jwt = 'eyJhbGciOiJFZERTQSJ9.e30.c2ln'

/** Credential: headers, and the dialect of a path that two have, without and with X-Org-Slug. */
const credentials: Record<string, [IncomingHttpHeaders, string, string]> = {
  'no credential': [{}, 'platform', 'ocore'],
  'a platform key as Bearer': [bearer('ak_live_x'), 'platform', 'platform'],
  'a platform key in X-API-Key': [apiKey('ak_live_x'), 'platform', 'platform'],
  'an oCore key as Bearer': [bearer('ocore_k_x'), 'ocore', 'ocore'],
  'an oCore key in X-API-Key': [apiKey('ocore_k_x'), 'ocore', 'ocore'],
  'an oec key as Bearer': [bearer('oec_live_ro_x'), 'platform', 'ocore'],
  'an oec key in X-API-Key': [apiKey('oec_live_rw_x'), 'platform', 'ocore'],
  'a bridge key as Bearer': [bearer('qb_live_x'), 'platform', 'ocore'],
  'a bridge key in X-API-Key': [apiKey('qb_live_x'), 'platform', 'ocore'],
  'a JWT': [bearer(jwt), 'platform', 'ocore'],
  'a JWT in X-API-Key': [apiKey(jwt), 'platform', 'ocore'],
  'a cookie': [{ cookie: `access_token=${jwt}` }, 'platform', 'ocore'],
  'a cookie beside an oCore key': [{ ...apiKey('ocore_k_x'), cookie: `access_token=${jwt}` }, 'ocore', 'ocore'],
  'garbage as Bearer': [bearer('ocore'), 'platform', 'ocore'],
  'garbage in X-API-Key': [apiKey('xak_live_'), 'platform', 'ocore'],
  'an empty Authorization': [{ authorization: '' }, 'platform', 'ocore'],
  'a malformed Authorization beside an oCore key': [{ authorization: 'Basic b2Nv', ...apiKey('ocore_k_x') }, 'platform', 'ocore'],
  'a garbage Authorization beside an oCore key': [{ ...bearer('bad'), ...apiKey('ocore_k_x') }, 'platform', 'ocore'],
  'a platform Authorization beside an oCore key': [{ ...bearer('ak_live_x'), ...apiKey('ocore_k_x') }, 'platform', 'platform'],
  'an oCore Authorization beside a platform key': [{ ...bearer('ocore_k_x'), ...apiKey('ak_live_x') }, 'ocore', 'ocore'],
  'an oec Authorization beside a platform key': [{ ...bearer('oec_live_rw_x'), ...apiKey('ak_live_x') }, 'platform', 'ocore'],
}

/** Paths that one dialect has, or that are below the prefix of one only, and null for those of none. */
const owned: Record<string, string | null> = {
  '/api/web-services': 'platform',
  '/api/web-services/1': 'platform',
  '/api/web-services/1/?tail=1': 'platform',
  '/api/v1': 'platform',
  '/api/v1/projects': 'platform',
  '/api/v1/servers': 'platform',
  '/api/v1/nope': 'platform',
  '/api/environments': 'ocore',
  '/api/environments/?limit=1': 'ocore',
  '/api/environments/1': 'ocore',
  '/api/user': 'ocore',
  '/api/user/': 'ocore',
  '/api/users/me': 'platform',
  '/api/projects/1/deployments': 'ocore',
  '/api/projects/1/deployments/2/rollback': 'ocore',
  '/api/webhook-endpoints': 'ocore',
  '/api/webhook-endpoints/1/deliveries/2/replay': 'ocore',
  '/api/members/leave': 'ocore',
  '/api/audit-logs/export?format=csv': 'ocore',
  '/api/ocore': 'ocore',
  '/api/ocore/docs': 'ocore',
  '/api/ocore/nope': 'ocore',
  '/api/auth': 'auth',
  '/api/auth/login': 'auth',
  '/api/auth/nope': 'auth',
  '/api/v1/auth/login/': 'auth',
  '/api/public/v1': 'oec',
  '/api/public/v1/projects': 'oec',
  '/api/public/v1/projects?page=1': 'oec',
  '/api/public/v1/environments/1/actions/deploy': 'oec',
  '/api/public/v1/servers': 'oec',
  '/call': 'bridge',
  '/call/': 'bridge',
  '/call/nope': 'bridge',
  '/bridge': 'bridge',
  '/bridge/keys/1': 'bridge',
  '/bridge/nope': 'bridge',
  '/speed-test': 'bridge',
  '/speed-tests': null,
  '/docs': null,
  '/': null,
  '/graphql': null,
  '/graphql?query={nothing}': null,
  '/apis': null,
  '/api-keys': null,
  '/calls': null,
  '/login': null,
}

/** Paths that two dialects have, and unknown ones below the prefix of both. */
const shared = [
  ...['/api', '/api/', '/api/projects', '/api/projects/', '/api/projects?limit=1', '/api/projects/1', '/api/docs'],
  ...['/api/nope', '/api/projects/1/nope', '/api/web-services//', '/api/public', '/api/public/v2/projects', '/api/v2', '/api/authors'],
]

describe.each(Object.entries(credentials))('with %s', (_credential, [headers, without, withHeader]) => {
  it.each([
    ['without X-Org-Slug', {}, without],
    ['with X-Org-Slug', { 'x-org-slug': 'acme' }, withHeader],
    ['with an empty X-Org-Slug', { 'x-org-slug': '' }, withHeader],
  ])('%s, each path belongs to one dialect', (_header, header, ofShared) => {
    const all = { ...headers, ...header }
    const expected = { ...owned, ...Object.fromEntries(shared.map((path) => [path, ofShared])) }
    const picked = Object.fromEntries(Object.keys(expected).map((path) => [path, pickDialect(faces, path, all)]))
    expect(picked).toEqual(expected)
    const reversed = Object.fromEntries(Object.keys(expected).map((path) => [path, pickDialect([...faces].reverse(), path, all)]))
    expect(reversed).toEqual(expected)
  })
})

describe('dialects that are mounted', () => {
  it('get every path below their prefixes, if no other has a longer one', () => {
    const mounted = [faceOf(platformDialect), faceOf(authDialect)]
    for (const path of ['/api/projects', '/api/servers', '/api/v1/x', '/api']) {
      expect(pickDialect(mounted, path, { 'x-org-slug': 'acme' })).toBe('platform')
    }
    expect(pickDialect(mounted, '/api/auth/nope', bearer('ak_live_x'))).toBe('auth')
  })
})
