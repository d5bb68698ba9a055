/**
 * Challenges that authenticators sign. A challenge has its expiry and a MAC in it, so that nothing is stored for those that are never answered:
 * anybody can request them. An answered one is stored until it expires, and is not accepted again.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { Chore } from '../../../platform/claim.ts'
import { row, run, sql, type Tx } from '../../../platform/db/index.ts'
import { nilId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'

export const challengeMs = 300_000

/** A challenge for one purpose is not accepted for another one. */
export type Purpose = { login: true } | { registrationOf: string }

const randomLength = 16
const expiryLength = 6
const headLength = randomLength + expiryLength

export async function newChallenge(app: App, purpose: Purpose): Promise<string> {
  const time = await row<{ expiresAt: number }>(
    app.db,
    sql`select extract(epoch from app_now())::float8 * 1000 + ${challengeMs} as expires_at`,
  )
  const head = Buffer.alloc(headLength)
  randomBytes(randomLength).copy(head)
  head.writeUIntBE(Math.floor(time!.expiresAt), randomLength, expiryLength)
  return Buffer.concat([head, await macOf(app, head, purpose)]).toString('base64url')
}

/** Uses up a challenge. False if it is not one of this server for this purpose, has expired or was used. */
export async function useChallenge(app: App, tx: Tx, text: string, purpose: Purpose): Promise<boolean> {
  const bytes = Buffer.from(text, 'base64url')
  const [head, mac] = [bytes.subarray(0, headLength), bytes.subarray(headLength)]
  if (head.length < headLength) return false
  const expected = await macOf(app, head, purpose)
  if (mac.length !== expected.length || !timingSafeEqual(mac, expected)) return false
  const expiresAt = new Date(head.readUIntBE(randomLength, expiryLength))
  const used = await run(
    tx,
    sql`insert into used_challenge (challenge, expires_at) select ${head}, ${expiresAt} where ${expiresAt}::timestamptz > app_now()
        on conflict do nothing`,
  )
  return used === 1
}

const macOf = async ({ db, keyring }: App, head: Buffer, purpose: Purpose): Promise<Buffer> =>
  Buffer.from(await keyring.fingerprint(db, nilId, `passkey challenge ${JSON.stringify(purpose)} ${head.toString('hex')}`), 'hex')

export const forgetChallenges: Chore = {
  name: 'forget passkey challenges',
  topic: null,
  everyMs: 3_600_000,
  async run(app) {
    await run(app.db, sql`delete from used_challenge where expires_at < app_now()`)
  },
}
