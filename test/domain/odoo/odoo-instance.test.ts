/** Configuration, addons and status of Odoo instances. All pure. */
import { describe, expect, it } from 'vitest'
import type { SourceTree } from '../../../src/domain/deploys/instance/index.ts'
import { planAddons } from '../../../src/domain/odoo/odoo-instance/addons.ts'
import { type ConfigFacts, configFile, type Lines, parseLines } from '../../../src/domain/odoo/odoo-instance/config.ts'
import { instanceSettings, type StatusFacts, statusOf } from '../../../src/domain/odoo/odoo-instance/model.ts'

describe('added lines of the configuration', () => {
  it('may set options and have sections of their own', () => {
    const text = '# ours\n[options]\nlimit_time_real = 240\nload_language: de_DE\n\n[queue_job]\nchannels = root:2\n'
    expect(parseLines(text)).toEqual({
      options: { limit_time_real: '240', load_language: 'de_DE' },
      sections: '[queue_job]\nchannels = root:2',
    })
    expect(parseLines(null)).toEqual({ options: {}, sections: '' })
  })

  it.each([
    ['db_host = elsewhere', 'line 1 must not set db_host, which Quayside sets'],
    ['x = 1\nHTTP_PORT = 80', 'line 2 must not set http_port, which Quayside sets'],
    ['admin_passwd = admin', 'line 1 must not set admin_passwd, because everybody who sees the instance can read it'],
    ['smtp_password = hunter2', 'line 1 must not set smtp_password, because everybody who sees the instance can read it'],
    ['limit_time_real = 1\nlimit_time_real = 2', 'line 2 sets limit_time_real for the second time'],
    ['limit_time_real = 1\n  db_host = elsewhere', 'line 2 must be such as limit_time_real = 240'],
    ['just words', 'line 1 must be such as limit_time_real = 240'],
  ])('%j are refused', (text, problem) => {
    expect(parseLines(text)).toEqual({ problem })
    expect(instanceSettings.input.safeParse({ config: text }).error?.issues[0]?.message).toBe(problem)
  })
})

describe('the configuration file', () => {
  const facts: ConfigFacts = {
    ...{ odooVersion: '17.0', addonsPath: ['/tools/odoo-1/addons', '/app'], dataDirectory: '/app/.odoo', adminPassword: 'long' },
    database: { host: '127.0.0.1', port: 15_000, username: 'erp', password: 'hunter2', databaseName: 'erp_1', maxConnections: 50 },
    ...{ workers: 2, httpPort: 20_000, eventedPort: 20_001, lines: { options: {}, sections: '' } },
  }
  const optionsOf = (changed: Partial<ConfigFacts> = {}) =>
    Object.fromEntries(
      configFile({ ...facts, ...changed })
        .split('\n')
        .filter((line) => line.includes(' = '))
        .map((line) => line.split(' = ') as [string, string]),
    )

  it('names the database, the ports and the files, and closes the database manager', () => {
    expect(optionsOf()).toMatchObject({
      ...{ addons_path: '/tools/odoo-1/addons,/app', data_dir: '/app/.odoo', db_host: '127.0.0.1', db_port: '15000', db_user: 'erp' },
      ...{ db_password: 'hunter2', db_name: 'erp_1', dbfilter: '^erp_1$', list_db: 'False', admin_passwd: 'long', proxy_mode: 'True' },
      ...{ http_interface: '127.0.0.1', http_port: '20000', gevent_port: '20001', workers: '2', without_demo: 'all' },
    })
  })

  it('leaves room for all processes in the connections of the database', () => {
    for (const workers of [0, 1, 2, 5, 20]) {
      const { db_maxconn } = optionsOf({ workers })
      // The workers, the one of the cron, the evented one and the main one.
      const processes = workers === 0 ? 1 : workers + 3
      expect(Number(db_maxconn)).toBeGreaterThanOrEqual(2)
      if (workers <= 20) expect(Number(db_maxconn) * processes).toBeLessThanOrEqual(50)
    }
  })

  it('has added lines in place of defaults, never in place of what Quayside sets, and other sections at its end', () => {
    const lines = parseLines('limit_time_real = 240\n[queue_job]\nchannels = root:2') as Lines
    expect(optionsOf({ lines })).toMatchObject({ limit_time_real: '240', limit_time_cpu: '600', db_host: '127.0.0.1' })
    expect(configFile({ ...facts, lines })).toMatch(/\n\[queue_job\]\nchannels = root:2\n$/)
    expect(optionsOf({ lines: { options: { db_host: 'elsewhere' }, sections: '' } }).db_host).toBe('127.0.0.1')
  })

  it('has no ports for a command, and the older name of the evented port before 16', () => {
    expect(configFile({ ...facts, httpPort: null, eventedPort: null })).not.toMatch(/_port = 2/)
    expect(optionsOf({ odooVersion: '15.0' })).toMatchObject({ longpolling_port: '20001' })
  })
})

describe('addons', () => {
  const treeOf = (...files: string[]): SourceTree => ({
    isFile: async (path) => files.includes(path.replace(/^\.\//, '')),
    async directories(path) {
      const prefix = path === '.' ? '' : `${path}/`
      const below = files.filter((file) => file.startsWith(prefix)).map((file) => file.slice(prefix.length).split('/'))
      if (prefix !== '' && below.length === 0) return null
      return [...new Set(below.filter((parts) => parts.length > 1).map(([name]) => name!))].sort()
    },
  })
  const plan = (tree: SourceTree, addonsPath: string | null = null) =>
    planAddons(tree, { odooVersion: '17.0', addonsPath, startCommand: 'odoo-bin' })

  it('are found in the root and below it, but not within a module, and not where programs keep their own', async () => {
    const tree = treeOf(
      ...['sale_ext/__manifest__.py', 'sale_ext/tests/fake/__manifest__.py', 'oca/web/web_ext/__manifest__.py', 'README.md'],
      ...['.git/x/__manifest__.py', 'node_modules/x/__manifest__.py', 'docs/index.md'],
    )
    const { facts, steps, detected } = await plan(tree)
    expect(facts).toEqual({ odooVersion: '17.0', addons: ['.', 'oca/web'] })
    expect([steps, detected]).toEqual([[], 'odoo 17.0, addons in ., oca/web'])
    expect(await plan(treeOf())).toMatchObject({ facts: { addons: [] }, steps: [], detected: 'odoo 17.0, no addons' })
  })

  it('are where addonsPath says, in its order, and nowhere else', async () => {
    const tree = treeOf('a/one/__manifest__.py', 'b/two/__manifest__.py', 'c/three/__manifest__.py')
    expect((await plan(tree, 'b, a')).facts).toMatchObject({ addons: ['b', 'a'] })
  })

  it.each([
    ['missing', 'addonsPath: missing is no directory of the repository.'],
    ['docs', 'addonsPath: docs contains no module.'],
  ])('must exist: %s', async (path, message) => {
    await expect(plan(treeOf('docs/x/index.md'), path)).rejects.toMatchObject({ code: 'BUILD_FAILED', message })
  })

  it('get the Python packages that their requirements.txt name, in an environment of the release', async () => {
    const { steps } = await plan(treeOf('requirements.txt', 'oca/web/requirements.txt', 'oca/web/x/__manifest__.py'))
    expect(steps[0]).toBe('python3 -m venv --system-site-packages --clear .venv')
    expect(steps[1]).toMatch(/pip install .*-r requirements\.txt -r oca\/web\/requirements\.txt$/)
  })

  it.each(['a b', "a'b", '$(x)', '../outside', '/etc', 'a,,b', ''])('addonsPath %j is refused', (addonsPath) => {
    expect(instanceSettings.input.safeParse({ addonsPath }).success).toBe(false)
  })
})

it.each<[string, Partial<StatusFacts>, ReturnType<typeof statusOf>]>([
  ['running', {}, { status: 'RUNNING', statusMessage: null }],
  ['new', { wasLive: false, isDeploying: true, isRouted: false, desiredState: 'STOPPED' }, { status: 'PROVISIONING', statusMessage: null }],
  ['failed at first', { wasLive: false, newestFailure: 'No disk.' }, { status: 'ERROR', statusMessage: 'No disk.' }],
  ['restarted', { isRestarting: true }, { status: 'RESTARTING', statusMessage: null }],
  ['starting again', { isRouted: false, runtimeStatus: 'STARTING' }, { status: 'RESTARTING', statusMessage: null }],
  ['stopped', { desiredState: 'STOPPED', isRouted: false }, { status: 'STOPPED', statusMessage: null }],
  ['deleted', { desiredState: 'DELETED' }, { status: 'DELETING', statusMessage: null }],
  ['crashed', { runtimeStatus: 'CRASHED' }, { status: 'ERROR', statusMessage: expect.stringContaining('is being restarted') }],
])('the status of an instance that is %s', (_what, changed, expected) => {
  const facts: StatusFacts = {
    ...{ desiredState: 'RUNNING', runtimeStatus: 'RUNNING', wasLive: true, isDeploying: false, isRouted: true, isRestarting: false },
    ...{ newestFailure: null, ...changed },
  }
  expect(statusOf(facts)).toEqual(expected)
})
