// @ts-check
/**
 * What receives Quayside's webhooks: `verify` checks a request after Standard Webhooks 1.0 and gives its event, typed by the
 * catalogue beside this file. Plain JavaScript, since Node strips no types below node_modules; index.d.ts is printed.
 */
import { createPublicKey, verify as verifyBytes } from 'node:crypto'
import { Webhook } from 'svix'
import { types } from './catalogue.js'

/** The request is not one of ours, not meant for now, or was changed on its way. */
export class WebhookVerificationError extends Error {
  name = 'WebhookVerificationError'
}

/** Names of all event types that this version of the module knows. */
export const eventTypes = Object.freeze(Object.keys(types))

const known = new Set(eventTypes)
const toleranceSeconds = 300

/**
 * Checks a request and gives its event. An event of a type that this module doesn't know is given as `{ type: 'unknown', … }` with its
 * name in `originalType`. Throws a WebhookVerificationError when the request's signature, id or time is no good or its body is no
 * event, and a TypeError when it is called wrongly: with a parsed body, without a secret, or with one that is malformed.
 * @param {unknown} rawBody the bytes as they arrived, as Uint8Array or string; never parsed JSON, whose bytes are lost
 * @param {RequestHeaders} headers of the request
 * @param {string | readonly string[]} secret `whsec_…`, or `whpk_…` for ed25519; during a rotation several
 */
export function verify(rawBody, headers, secret) {
  const body = bytesOf(rawBody)
  const checks = (Array.isArray(secret) ? secret : [secret]).map(checkOf)
  if (checks.length === 0) throw new TypeError('There is no secret to verify with.')
  const signed = signedHeaders(headers)
  /** @type {unknown} */
  let refusal
  for (const check of checks) {
    try {
      check(body, signed)
      return eventOf(body)
    } catch (error) {
      refusal = error
    }
  }
  throw refusal
}

/** @param {unknown} rawBody @returns {Buffer} */
function bytesOf(rawBody) {
  if (typeof rawBody === 'string') return Buffer.from(rawBody)
  if (rawBody instanceof Uint8Array) return Buffer.from(rawBody.buffer, rawBody.byteOffset, rawBody.byteLength)
  if (rawBody instanceof ArrayBuffer) return Buffer.from(rawBody)
  throw new TypeError('verify takes the raw body, as bytes or text. Parsed JSON can not be verified: its bytes are lost.')
}

const names = /** @type {const} */ (['webhook-id', 'webhook-timestamp', 'webhook-signature'])

/** @typedef {Record<typeof names[number], string>} Signed */

/** Any `Headers` will do, of whatever library. @typedef {{ get(name: string): string | null } | Record<string, string | string[] | undefined>} RequestHeaders */

/** @param {RequestHeaders} headers @returns {(name: string) => unknown} */
function readerOf(headers) {
  if (typeof headers.get === 'function') {
    const list = /** @type {{ get(name: string): string | null }} */ (headers)
    return (name) => list.get(name)
  }
  const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  return (name) => lower[name]
}

/** @param {RequestHeaders} headers @returns {Signed} */
function signedHeaders(headers) {
  const read = readerOf(headers)
  const entries = names.map((name) => {
    const value = read(name) ?? read(name.replace('webhook-', 'svix-'))
    if (typeof value !== 'string' || value === '') throw new WebhookVerificationError(`The header ${name} is missing.`)
    return [name, value]
  })
  return Object.fromEntries(entries)
}

/** Checks a request with one secret, which is read before anything of the request is. @param {unknown} secret @returns {(body: Buffer, headers: Signed) => void} */
function checkOf(secret) {
  if (typeof secret === 'string' && secret.startsWith('whsec_')) {
    const webhook = hmacOf(secret)
    return (body, headers) => checkHmac(body, headers, webhook)
  }
  if (typeof secret === 'string' && secret.startsWith('whpk_')) {
    const key = publicKeyOf(secret)
    return (body, headers) => checkEd25519(body, headers, key)
  }
  throw new TypeError('A secret is a text that begins with whsec_ or whpk_.')
}

/** @param {string} secret */
function hmacOf(secret) {
  try {
    return new Webhook(secret)
  } catch (cause) {
    throw new TypeError('The secret is not valid: whsec_ is followed by base64.', { cause })
  }
}

/** @param {Buffer} body @param {Signed} headers @param {Webhook} webhook */
function checkHmac(body, headers, webhook) {
  try {
    webhook.verify(body, headers)
  } catch (cause) {
    throw new WebhookVerificationError(cause instanceof Error ? cause.message : 'The signature is not valid.', { cause })
  }
}

/** What SPKI puts before an ed25519 public key (RFC 8410, section 4). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')

/** @param {string} secret */
function publicKeyOf(secret) {
  const bytes = Buffer.from(secret.slice('whpk_'.length), 'base64')
  if (bytes.length !== 32) throw new TypeError('The secret is not valid: whpk_ is followed by 32 bytes in base64.')
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, bytes]), format: 'der', type: 'spki' })
}

/** @param {Buffer} body @param {Signed} headers @param {import('node:crypto').KeyObject} key */
function checkEd25519(body, headers, key) {
  const seconds = Number(headers['webhook-timestamp'])
  if (!/^\d{1,12}$/.test(headers['webhook-timestamp'])) throw new WebhookVerificationError('The timestamp is no number.')
  if (Math.abs(Date.now() / 1000 - seconds) > toleranceSeconds) throw new WebhookVerificationError('The timestamp is too far from now.')
  const text = Buffer.concat([Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), body])
  const good = headers['webhook-signature'].split(' ').some((part) => {
    const [version, signature] = part.split(',')
    return version === 'v1a' && signature !== undefined && verifyBytes(null, text, key, Buffer.from(signature, 'base64'))
  })
  if (!good) throw new WebhookVerificationError('No signature fits.')
}

/** @param {Buffer} body @returns {any} */
function eventOf(body) {
  const event = parsed(body)
  if (typeof event?.type !== 'string') throw new WebhookVerificationError('The body is no event.')
  return known.has(event.type) ? event : { ...event, type: 'unknown', originalType: event.type }
}

/** @param {Buffer} body @returns {any} */
function parsed(body) {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (cause) {
    throw new WebhookVerificationError('The body is not JSON.', { cause })
  }
}
