import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { platformCredentials } from '../../../src/domain/deploys/instance/index.ts'
import { createRedactor } from '../../../src/domain/deploys/log/index.ts'
import { readSettings } from '../../../src/platform/settings.ts'
import type { App } from '../../../src/platform/work.ts'

const keys = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64'))
const keyFile = keys.map((key, index) => `${index + 1}:${key}\n`).join('')

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quayside-credentials-'))
})
afterEach(() => rm(directory, { recursive: true }))

const redactorWith = (environment: Record<string, string>) =>
  createRedactor(platformCredentials({ settings: readSettings({ DATA_DIR: directory, ...environment }) } as App))

it('redacts every master key, whatever its source', async () => {
  await writeFile(join(directory, 'master.key'), keyFile)
  await writeFile(join(directory, 'other.key'), keyFile)
  for (const environment of [{ MASTER_KEYS: keyFile.trim().replace('\n', ', ') }, {}, { MASTER_KEY_FILE: join(directory, 'other.key') }]) {
    const redact = redactorWith(environment as Record<string, string>)
    expect(redact(`${keys[0]} 2:${keys[1]}`)).toBe('[redacted] 2:[redacted]')
  }
})

it('redacts nothing if nothing is set, and reports why a key cannot be read', async () => {
  expect(redactorWith({})('nothing')).toBe('nothing')
  expect(() => redactorWith({ MASTER_KEY_FILE: directory })).toThrow('EISDIR')
})

it('redacts the token of Svix', () => {
  expect(redactorWith({ SVIX_TOKEN: 'testsk_abcdefgh.eu' })('Bearer testsk_abcdefgh.eu')).toBe('Bearer [redacted]')
})

it.each([
  ['DATABASE_URL', 'postgresql://owner:p%40ss%2Bw%25rd@db:5432/x'],
  ['EGRESS_PROXY', 'http://owner:p%40ss%2Bw%25rd@proxy:3128'],
])('redacts the user and password of %s, both plain and as written in the URL', (name, url) => {
  const redact = redactorWith({ [name]: url })
  expect(redact(url)).toBe(url.replace('owner:p%40ss%2Bw%25rd', '[redacted]'))
  expect(redact('owner:p@ss+w%rd')).toBe('[redacted]')
  expect(redact('password is p@ss+w%rd')).toBe('password is [redacted]')
  expect(redact(`Basic ${Buffer.from('owner:p@ss+w%rd').toString('base64')}`)).toMatch(/^Basic \[redacted\]={0,2}$/)
})

it('redacts a short password only next to its user, and keeps the user of a database URL without a password', () => {
  expect(redactorWith({ DATABASE_URL: 'postgresql://postgres:main@host/x' })('postgres:main on main')).toBe('[redacted] on main')
  expect(redactorWith({ DATABASE_URL: 'postgresql://postgres@host/x' })('postgres: ready')).toBe('postgres: ready')
})

it('accepts a password that is not valid percent encoding', () => {
  expect(redactorWith({ EGRESS_PROXY: 'http://owner:100%secret@proxy:3128' })('owner:100%secret')).toBe('[redacted]')
})
