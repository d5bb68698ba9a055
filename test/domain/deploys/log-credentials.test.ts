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

it('takes each master key out, wherever it comes from', async () => {
  await writeFile(join(directory, 'master.key'), keyFile)
  await writeFile(join(directory, 'other.key'), keyFile)
  for (const environment of [{ MASTER_KEYS: keyFile.trim().replace('\n', ', ') }, {}, { MASTER_KEY_FILE: join(directory, 'other.key') }]) {
    const redact = redactorWith(environment as Record<string, string>)
    expect(redact(`${keys[0]} 2:${keys[1]}`)).toBe('[redacted] 2:[redacted]')
  }
})

it('has nothing to take out where nothing is set, and says what keeps it from reading a key', async () => {
  expect(redactorWith({})('nothing')).toBe('nothing')
  expect(() => redactorWith({ MASTER_KEY_FILE: directory })).toThrow('EISDIR')
})

it('takes the token of Svix out', () => {
  expect(redactorWith({ SVIX_TOKEN: 'testsk_abcdefgh.eu' })('Bearer testsk_abcdefgh.eu')).toBe('Bearer [redacted]')
})

it.each([
  ['DATABASE_URL', 'postgresql://owner:p%40ss%2Bw%25rd@db:5432/x'],
  ['EGRESS_PROXY', 'http://owner:p%40ss%2Bw%25rd@proxy:3128'],
])('takes user and password of %s out, as they are and as they stand in it', (name, url) => {
  const redact = redactorWith({ [name]: url })
  expect(redact(url)).toBe(url.replace('owner:p%40ss%2Bw%25rd', '[redacted]'))
  expect(redact('owner:p@ss+w%rd')).toBe('[redacted]')
  expect(redact('password is p@ss+w%rd')).toBe('password is [redacted]')
  expect(redact(`Basic ${Buffer.from('owner:p@ss+w%rd').toString('base64')}`)).toMatch(/^Basic \[redacted\]={0,2}$/)
})

it('takes a short password out beside its user only, and leaves a database’s user without one', () => {
  expect(redactorWith({ DATABASE_URL: 'postgresql://postgres:main@host/x' })('postgres:main on main')).toBe('[redacted] on main')
  expect(redactorWith({ DATABASE_URL: 'postgresql://postgres@host/x' })('postgres: ready')).toBe('postgres: ready')
})

it('does with a password that is no percent encoding', () => {
  expect(redactorWith({ EGRESS_PROXY: 'http://owner:100%secret@proxy:3128' })('owner:100%secret')).toBe('[redacted]')
})
