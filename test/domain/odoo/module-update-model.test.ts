import { describe, expect, it } from 'vitest'
import type { ModuleUpdateMode } from '../../../src/domain/deploys/environment-action/index.ts'
import { createJudge } from '../../../src/domain/odoo/module-update/judge.ts'
import { chooseUpdate, updateCommand } from '../../../src/domain/odoo/module-update/model.ts'

describe('the judge of a run', () => {
  const at = '2026-11-27 22:00:00,123 77'
  const verdict = (exitCode: number, ...chunks: string[]) => {
    const judge = createJudge()
    for (const chunk of chunks) void judge.sink('stderr', Buffer.from(chunk))
    return judge.verdict(exitCode)
  }

  it('finds nothing in a good run, whatever its warnings and messages say', () => {
    const lines = [
      `${at} INFO acme odoo.modules.loading: 12 modules loaded\n`,
      `${at} WARNING acme odoo.tools: ERROR is a word\n`,
      'ERROR by itself\n',
      'ValueError: of no error\n',
    ]
    expect(verdict(0, ...lines)).toEqual({ isGood: true })
  })

  it('finds an error although the run exits with 0, in chunks of any size and in a last line without an end', () => {
    const line = `${at} ERROR acme odoo.addons.sale: no such field`
    const bad = { isGood: false, exitCode: 0, reason: 'Odoo logged an error: odoo.addons.sale: no such field' }
    expect(verdict(0, `${line}\n`)).toEqual(bad)
    expect(verdict(0, ...line)).toEqual(bad)
  })

  it('names the exception after the first problem', () => {
    const log = `${at} CRITICAL acme odoo.service.server: Failed to initialize database \`acme\`.\nTraceback (most recent call last):\n  File "x", line 1\nValueError: no shelf\n${at} ERROR ? odoo: later\nKeyError: 'later'\n`
    expect(verdict(255, log)).toEqual({
      isGood: false,
      exitCode: 255,
      reason: 'Odoo exited with code 255: odoo.service.server: Failed to initialize database `acme`. ValueError: no shelf',
    })
  })

  it('judges a run without a word by its exit code, and bounds what it keeps', () => {
    expect(verdict(137)).toEqual({ isGood: false, exitCode: 137, reason: 'Odoo exited with code 137' })
    const long = verdict(0, `${at} ERROR acme odoo: `, ...Array.from({ length: 100 }, () => 'x'.repeat(1_000)))
    expect((long as { reason: string }).reason.length).toBeLessThan(600)
  })
})

describe('the choice of modules', () => {
  const module = (name: string, digest = 'a') => ({ name, version: '1.0', digest })
  const database = { installed: new Set(['base', 'web', 'library', 'shelf']), known: new Set(['base', 'web', 'library', 'shelf', 'sale']) }
  const release = [module('library', 'b'), module('shelf'), module('draft', 'b')]
  const choose = (mode?: ModuleUpdateMode, modules: string[] = [], found: typeof database | null = database) =>
    chooseUpdate(mode ? { mode, modules } : null, found, release, [module('library'), module('shelf')])

  it('is those installed modules whose files have changed', () => {
    expect(choose()).toEqual({ type: 'update', modules: ['library'] })
    expect(chooseUpdate(null, database, release, release)).toEqual({ type: 'none' })
  })

  it('follows the mode', () => {
    expect(choose('PULL_RESTART')).toEqual({ type: 'none' })
    expect(choose('UPDATE_ALL', ['shelf'])).toEqual({ type: 'update', modules: ['all'] })
    expect(choose('UPDATE_SPECIFIC', ['shelf', 'web', 'shelf'])).toEqual({ type: 'update', modules: ['shelf', 'web'] })
    expect(choose('REINITIALIZE_SPECIFIC', ['sale', 'draft'])).toEqual({ type: 'install', modules: ['sale', 'draft'] })
  })

  it('refuses unknown modules, and updates of those that are not installed', () => {
    expect(choose('UPDATE_SPECIFIC', ['nothing', 'web'])).toEqual({
      refused: 'There is no module nothing in the addons of the release or in Odoo.',
    })
    expect(choose('REINITIALIZE_SPECIFIC', ['nothing'])).toHaveProperty('refused')
    expect(choose('UPDATE_SPECIFIC', ['sale'])).toEqual({ refused: expect.stringMatching(/^The module sale is not installed/) })
  })

  it('installs base, and what was asked for, in an empty database', () => {
    for (const mode of [undefined, 'PULL_RESTART', 'UPDATE_ALL'] as const)
      expect(choose(mode, [], null)).toEqual({ type: 'install', modules: ['base'] })
    expect(choose('UPDATE_SPECIFIC', ['sale'], null)).toEqual({ type: 'install', modules: ['base', 'sale'] })
  })

  it('completes the command of the server', () => {
    const command = 'odoo-bin -c "$QUAYSIDE_FILES/odoo.conf"'
    expect(updateCommand(command, { type: 'install', modules: ['base', 'sale'] })).toBe(
      `${command} -i base,sale --stop-after-init --no-http --workers 0`,
    )
    expect(updateCommand(command, { type: 'update', modules: ['all'] })).toContain(' -u all ')
  })
})
