/**
 * Refresh tokens: `<session>.<secret>.<signature>`. The signature tells a token that was once valid from an invented one, so that only the
 * reuse of a real one ends a session. The next token is derived from the present one and a random salt, so that requests that refresh at the
 * same time receive the same next token although only hashes are stored.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto'
import type { Tx } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'

export type RefreshToken = { sessionId: string; text: string }

const form = /^([\w-]{22})\.([\w-]{43})\.([\w-]{22})$/

const tokenOf = async (app: App, tx: Tx, sessionId: string, secret: Buffer): Promise<string> => {
  const body = `${Buffer.from(sessionId.replaceAll('-', ''), 'hex').toString('base64url')}.${secret.toString('base64url')}`
  return `${body}.${await signatureOf(app, tx, body)}`
}

async function signatureOf(app: App, tx: Tx, body: string): Promise<string> {
  return Buffer.from(await app.keyring.fingerprint(tx, nilId, `refresh token ${body}`), 'hex').toString('base64url')
}

/** The first token of a session. */
export const firstToken = (app: App, tx: Tx, sessionId: string): Promise<string> => tokenOf(app, tx, sessionId, randomBytes(32))

/** The token after a given one. */
export function nextToken(app: App, tx: Tx, { sessionId, text }: RefreshToken, salt: Uint8Array): Promise<string> {
  return tokenOf(app, tx, sessionId, createHmac('sha256', text).update(salt).digest())
}

/** Null if Quayside never issued such a token. */
export async function readToken(app: App, tx: Tx, text: string): Promise<RefreshToken | null> {
  const [, session, , signature] = form.exec(text) ?? []
  if (!session || (await signatureOf(app, tx, text.slice(0, text.lastIndexOf('.')))) !== signature) return null
  const hex = Buffer.from(session, 'base64url').toString('hex')
  return { sessionId: hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'), text }
}

export const newSalt = (): Uint8Array<ArrayBuffer> => new Uint8Array(randomBytes(32))

export const hashToken = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(createHash('sha256').update(text).digest())
