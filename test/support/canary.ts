/**
 * The canary: a secret of a test must not be found anywhere afterwards. Test processes record what is sealed in a database. When the
 * database is dropped, all of its rows (events, webhooks, audit, logs, idempotent results) and the log are searched for the values, in
 * the encodings that programs use. The search shares no code with redaction.
 */
import { createPrivateKey } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import pg from 'pg'

/** Shorter values are not searched for, because they occur in ordinary text. */
const minLength = 7

/** API keys and signing secrets of any server. */
const ownTokens = /\b(?:ak_live|oec_live_r[ow]|ocore_k)_[A-Za-z0-9_-]{51}(?![A-Za-z0-9_-])|\bwh(?:sec|sk)_[A-Za-z0-9+/]{32,}={0,2}/g

export type Leak = { place: string; value: string; around: string }

/** The values that must not be found, and the search for them. */
export class Canary {
  readonly #byStart = new Map<string, { pattern: string; value: string }[]>()
  readonly #values = new Set<string>()

  get size() {
    return this.#values.size
  }

  /** Registers a value. Of a JSON object, registers its strings, except those that are shown. */
  add(value: string): void {
    const parts = leavesOf(value)
    if (parts) {
      for (const part of parts) this.add(part)
      return
    }
    const password = URL.canParse(value) ? new URL(value).password : ''
    // The rest of a URL is shown.
    if (password && password !== value) {
      this.add(decodeURIComponent(password))
      return
    }
    if (value.length < minLength || this.#values.has(value)) return
    this.#register(value, formsOf(value, value.match(/[A-Za-z0-9]{12,}/g) ?? []))
  }

  #register(value: string, forms: readonly string[]): void {
    this.#values.add(value)
    for (const pattern of forms) {
      const start = pattern.slice(0, minLength)
      const known = this.#byStart.get(start)
      if (known) known.push({ pattern, value })
      else this.#byStart.set(start, [{ pattern, value }])
    }
  }

  /** A value that is no secret though it is sealed, such as an ordinary word in an example. To be called before it is sealed. */
  allow(value: string): void {
    this.#values.add(value)
  }

  /** Registers a text that is searched for as a whole only, because it has words that also occur elsewhere. */
  addText(text: string): void {
    if (text.length >= minLength && !this.#values.has(text)) this.#register(text, formsOf(text, []))
  }

  /** Registers the private part of an EC key of 256 bits in PEM. Its other part is public: it is in the certificate of the key. */
  addPrivateKey(pem: string): void {
    const [, first = '', second = ''] = pem.split('\n')
    this.addText(first)
    this.addText(second.slice(0, 27))
    this.addText(createPrivateKey(pem).export({ format: 'jwk' }).d ?? '')
  }

  /** The places where a text contains a registered value, an API key or a signing secret. */
  search(place: string, text: string): Leak[] {
    const leaks: Leak[] = []
    const found = (value: string, at: number, length: number) =>
      leaks.push({ place, value, around: text.slice(Math.max(0, at - 80), at + length + 20) })
    for (const match of text.matchAll(ownTokens)) found(match[0], match.index, match[0].length)
    if (this.#byStart.size === 0) return leaks
    for (let at = 0; at + minLength <= text.length; at++) {
      for (const { pattern, value } of this.#byStart.get(text.slice(at, at + minLength)) ?? [])
        if (text.startsWith(pattern, at)) found(value, at, pattern.length)
    }
    return leaks
  }

  /** Registers the secret variables of an operation. */
  addVariables(query: string, variables: unknown): void {
    const isOfSecrets = /\b(?:create|update|set|rotate|bulk)\w*Secrets?\b/.test(query)
    const walk = (node: unknown, key: string, isSecret: boolean): void => {
      if (typeof node === 'string') {
        if (isSecret && (key === 'value' || key === 'secret')) this.add(node)
        const credential = key === 'repositoryUrl' && URL.canParse(node) ? new URL(node).password : ''
        if (credential) this.add(decodeURIComponent(credential))
      } else if (Array.isArray(node)) for (const item of node) walk(item, key, isSecret)
      else if (node && typeof node === 'object') {
        const isOwn = isSecret || (node as { isSecret?: unknown }).isSecret === true
        for (const [name, value] of Object.entries(node)) walk(value, name, isOwn)
      }
    }
    walk(variables, '', isOfSecrets)
  }

  /** Searches every file below a folder, except those whose relative path `isSpared` accepts. */
  async searchFiles(folder: string, isSpared: (path: string) => boolean): Promise<Leak[]> {
    const leaks: Leak[] = []
    for await (const path of filesBelow(folder)) {
      const name = relative(folder, path)
      if (isSpared(name)) continue
      leaks.push(...this.search(name, await readFile(path, 'utf8').catch(() => '')))
    }
    return leaks
  }

  /** Searches every row of every table. */
  async searchDatabase(url: string): Promise<Leak[]> {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      const { rows: tables } = await client.query(
        `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`,
      )
      if (tables.length === 0) return []
      // One statement for all tables, because every database of a run is searched.
      const { rows } = await client.query(
        tables
          .map(({ name }) => `select '${name}' as name, string_agg(to_jsonb(t)::text, E'\\n') as text from ${name} t`)
          .join(' union all '),
      )
      const leaks = rows.flatMap(({ name, text }) => this.search(name, text ?? ''))
      return leaks
    } finally {
      await client.end()
    }
  }
}

const canaries = new Map<string, Canary>()

/** The canary of a database, created at first use. */
export function canaryOf(url: string): Canary {
  const known = canaries.get(url) ?? new Canary()
  canaries.set(url, known)
  return known
}

/** Throws if there is a leak, naming each place. */
export function assertNoLeak(leaks: readonly Leak[]): void {
  if (leaks.length === 0) return
  const shown = leaks.slice(0, 10).map(({ place, value, around }) => `${place} holds ${JSON.stringify(value)}: ${around}`)
  throw new Error(`Secrets were found in ${leaks.length} places:\n${shown.join('\n')}`)
}

/** Variables that describe the service, and those of a connected bucket other than its secret. */
const isShown = /^QUAYSIDE_|^NODE_ENV$|_(ENDPOINT|REGION|BUCKET|ACCESS_KEY_ID)$/

function leavesOf(value: string): string[] | null {
  if (!value.startsWith('{')) return null
  try {
    const entries = Object.entries(JSON.parse(value)).filter(([key]) => !isShown.test(key))
    return entries.flatMap(([, part]) => (typeof part === 'string' ? [part] : []))
  } catch {
    return null
  }
}

/** `plain`: parts that no escaping changes, for values that are escaped more than once. */
function formsOf(value: string, plain: readonly string[]): string[] {
  const bytes = Buffer.from(value)
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
    return text.slice([0, 2, 3][offset], Math.floor(((offset + bytes.length) * 4) / 3))
  })
  const json = JSON.stringify(value).slice(1, -1)
  const forms = [
    value,
    ...plain,
    json,
    JSON.stringify(json).slice(1, -1),
    encodeURIComponent(value.toWellFormed()),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ]
  return [...new Set(forms)].filter((form) => form.length >= minLength)
}

/** A file that a running server removes during the search counts as empty. */
async function* filesBelow(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  for (const entry of entries) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesBelow(path)
    else if (entry.isFile()) yield path
  }
}
