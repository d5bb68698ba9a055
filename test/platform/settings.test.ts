import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createLogger } from '../../src/platform/log.ts'
import { readSettings, SettingsError } from '../../src/platform/settings.ts'

function problems(environment: Record<string, string>): string[] {
  try {
    readSettings(environment)
  } catch (error) {
    if (error instanceof SettingsError)
      return error.message
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(':')[0]!)
    throw error
  }
  return []
}

describe('an invalid setting', () => {
  const wrong = {
    PORT: 'eighty',
    ROUTER_PORT: '65536',
    PUBLIC_URL: 'here',
    DATABASE_URL: 'mysql://localhost/x',
    MANAGED_POSTGRES_URL: 'postgresql:///x?host=/tmp',
    DATABASE_POOL: '1',
    EGRESS_ALLOW: '10.0.0.0/8, 10.0.0.300/8',
    SANDBOX: 'docker',
    EVENT_SCHEMA: 'loose',
    RATE_LIMITS: 'platform=600, graphql=0',
    GRAPHIQL: 'perhaps',
    LOG_LEVEL: 'loud',
    WORKER_LEASE_MS: '299',
    WEBHOOK_RETRY_SCHEDULE_MS: '5000,-1',
    BUILD_TIMEOUT_MS: '0',
    PREPARE_TIMEOUT_MS: '1.5',
  }

  it('is reported by its name, one line each, all at once', () => {
    expect(problems(wrong).toSorted()).toEqual(Object.keys(wrong).toSorted())
  })

  it.each(Object.entries(wrong))('is reported on its own: %s=%s', (name, value) => {
    expect(problems({ [name]: value })).toEqual([name])
  })

  it('is reported without the value of a secret', () => {
    const secret = 'http://quayside:hunter2@db/quayside'
    expect(() => readSettings({ DATABASE_URL: secret, MASTER_KEYS: 'hunter2' })).toThrow(SettingsError)
    try {
      readSettings({ DATABASE_URL: secret, MASTER_KEYS: 'hunter2' })
    } catch (error) {
      expect(inspect(error, { depth: null })).not.toContain('hunter2')
    }
  })
})

it('EGRESS_ALLOW accepts addresses and CIDRs of either family', () => {
  const { EGRESS_ALLOW } = readSettings({ EGRESS_ALLOW: '10.1.2.3, 192.168.0.0/16,::1,fd00::/8' })
  expect(EGRESS_ALLOW).toEqual(['10.1.2.3', '192.168.0.0/16', '::1', 'fd00::/8'])
  for (const wrong of ['10.1.2', '10.1.2.3/33', 'localhost', '1', '[::1]', '10.1.2.3:80'])
    expect(problems({ EGRESS_ALLOW: wrong }), wrong).toEqual(['EGRESS_ALLOW'])
})

describe('an unset setting', () => {
  it.each([
    [{}, false],
    [{ HOST: 'localhost' }, false],
    [{ HOST: '::1' }, false],
    [{ HOST: '127.8.9.1' }, false],
    [{ HOST: '0.0.0.0' }, true],
    [{ HOST: '::' }, true],
    [{ HOST: 'quayside.example' }, true],
    [{ NODE_ENV: 'production' }, true],
    [{ NODE_ENV: 'test' }, false],
  ])('NODE_ENV depends on the listen address: %j is production: %s', (environment, production) => {
    const settings = readSettings(environment)
    expect({
      production: settings.production,
      graphiql: settings.GRAPHIQL,
      egress: settings.EGRESS_ALLOW.length > 0,
      files: settings.GIT_FILE_ROOTS,
    }).toEqual({ production, graphiql: !production, egress: !production, files: production ? [] : ['/'] })
  })

  it('can also be an empty string', () => {
    const names = ['PORT', 'HOST', 'DATABASE_URL', 'EGRESS_ALLOW', 'SANDBOX', 'GRAPHIQL', 'MASTER_KEYS', 'WORKER_LEASE_MS', 'LOG_LEVEL']
    const empty = readSettings(Object.fromEntries(names.map((name) => [name, ''])))
    expect(empty).toEqual(readSettings({}))
  })

  it('does not override a setting that is set, in production either', () => {
    const said = readSettings({ NODE_ENV: 'production', GRAPHIQL: 'true', EGRESS_ALLOW: '10.0.0.0/8', GIT_FILE_ROOTS: '/srv/git' })
    expect(said).toMatchObject({ GRAPHIQL: true, EGRESS_ALLOW: ['10.0.0.0/8'], GIT_FILE_ROOTS: ['/srv/git'] })
  })
})

it('secrets appear in no print, JSON, text or log, and name the credentials that they contain', () => {
  const settings = readSettings({
    DATABASE_URL: 'postgresql://quayside:hunter2@db/quayside',
    MASTER_KEYS: '1:hunter2,2:hunter3',
    SVIX_TOKEN: 'hunter2',
    EGRESS_PROXY: 'http://proxy:hunter2@10.0.0.1:3128',
  })
  const { DATABASE_URL, MASTER_KEYS, SVIX_TOKEN, EGRESS_PROXY } = settings
  const lines: string[] = []
  createLogger('info', { write: (line) => void lines.push(line) }).info({ settings, one: DATABASE_URL }, String(MASTER_KEYS))
  const shown = [inspect(settings, { depth: null, showHidden: true }), JSON.stringify(settings), `${DATABASE_URL}`, ...lines].join('\n')
  expect(shown).toContain('[redacted]')
  expect(shown).not.toMatch(/hunter\d/)
  expect(DATABASE_URL?.reveal()).toBe('postgresql://quayside:hunter2@db/quayside')
  expect([DATABASE_URL, MASTER_KEYS, SVIX_TOKEN, EGRESS_PROXY].map((secret) => secret?.credentials())).toEqual([
    ['hunter2', 'quayside:hunter2'],
    ['hunter2', 'hunter3'],
    ['hunter2'],
    ['hunter2', 'proxy:hunter2'],
  ])
  expect(readSettings({ DATABASE_URL: 'postgresql://db/quayside' }).DATABASE_URL?.credentials()).toEqual([])
})

describe('RATE_LIMITS', () => {
  const read = (text: string) => [...readSettings({ RATE_LIMITS: text }).RATE_LIMITS]

  it('is a list of names and numbers, empty by default', () => {
    expect(read('')).toEqual([])
    expect(read(' platform=600, graphql=6000000 ,')).toEqual([
      ['platform', 600],
      ['graphql', 6_000_000],
    ])
  })

  it.each([
    'platform',
    'platform=',
    'platform=-1',
    'platform=1.5',
    'platform=1e3',
    '=5',
    'Platform=5',
    'a=1,a=2',
    'a=1=2',
    'a=9999999999999',
  ])('cannot be %s', (text) => {
    expect(problems({ RATE_LIMITS: text })).toEqual(['RATE_LIMITS'])
  })
})
