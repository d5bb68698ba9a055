/** The account of the installation at its certificate authority: a key, which names the account to the authority. */
import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { row, run, sql } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import type { App } from '../../../platform/work.ts'
import { accountKeyIdentity, accountOwner } from './model.ts'

const generate = promisify(generateKeyPair)

/** A new EC key in PEM. */
export async function newPrivateKey(): Promise<string> {
  const { privateKey } = await generate('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return privateKey
}

/** The key of the account. All processes use the one that was stored first. */
export async function accountKey({ db, keyring, settings }: App): Promise<string> {
  const directory = settings.ACME_DIRECTORY_URL!
  const stored = () =>
    row<{ id: string; privateKey: Uint8Array }>(db, sql`select id, private_key from acme_account where directory_url = ${directory}`)
  let account = await stored()
  if (!account) {
    const id = newId()
    const sealed = await keyring.seal(db, accountOwner, accountKeyIdentity(id), await newPrivateKey())
    await run(
      db,
      sql`insert into acme_account (id, directory_url, private_key) values (${id}::uuid, ${directory}, ${sealed}) on conflict (directory_url) do nothing`,
    )
    account = (await stored())!
  }
  return keyring.open(db, accountOwner, accountKeyIdentity(account.id), account.privateKey)
}
