/** The table of keys, and the dialogs that create and revoke one. */
import { announce, attempt, offer, one, onSubmit, when } from '../shared/view.js'
import { chosenAccount, offerAccounts } from './account.js'
import { call } from './api.js'
import { offerCopies } from './copy.js'
import { closeDialog, formOf, openDialog } from './dialog.js'
import { capitalised, fill } from './table.js'

/** @typedef {{ id: string, name: string, prefix: string, created_at: string, expires_at: string | null, status: string }} Key */

const section = one(document, '#keys')

/** @param {boolean} mayManage whether to offer changes */
export async function showKeys(mayManage) {
  const keys = /** @type {Key[]} */ (await call('GET', '/bridge/keys'))
  const rows = keys.map((key) => [
    { text: key.name, heads: true },
    { text: `${key.prefix}…`, code: true },
    { text: when(key.created_at) },
    { text: key.expires_at ? when(key.expires_at) : 'Never' },
    { text: capitalised(key.status), kind: key.status },
    mayManage && key.status === 'active' ? { text: '', child: revokeButton(key) } : { text: '–' },
  ])
  fill(one(section, 'tbody'), rows, 'No keys yet.')
}

/** @type {HTMLButtonElement | null} */
let creation = null

export function offerCreation() {
  creation = offer(section, '[data-action="create"]', async () => createKey())
}

/** A key needs an account. */
export function allowCreation() {
  if (creation) creation.disabled = chosenAccount() === null
}

function createKey() {
  const dialog = openDialog('create-key')
  const form = formOf(dialog)
  offerAccounts(/** @type {HTMLSelectElement} */ (one(form, 'select')))
  onSubmit(form, async ({ name, expires_at: day, connection_id }) => {
    const created = await call('POST', '/bridge/keys', { name, connection_id, ...(day && { expires_at: endOf(day) }) })
    closeDialog(dialog)
    showOnce(created)
    await attempt(section, () => showKeys(true))
  })
}

/** The last moment of a day of the browser's time zone. @param {string} day */
const endOf = (day) => new Date(`${day}T23:59:59`).toISOString()

/** @param {{ name: string, key: string }} created */
function showOnce({ name, key }) {
  const dialog = openDialog('created-key', { name, key })
  // The key could not be shown again, so Escape does nothing. Browsers that know `closedby` do not even ask.
  dialog.addEventListener('cancel', (event) => event.preventDefault())
  dialog.addEventListener('close', () => announce(`The key ${name} is created.`))
  offerCopies(dialog)
}

/** @param {Key} key */
function revokeButton(key) {
  const button = document.createElement('button')
  button.type = 'button'
  button.className = 'quiet'
  button.textContent = 'Revoke'
  button.ariaLabel = `Revoke the key ${key.name}`
  button.addEventListener('click', () => revokeKey(key))
  return button
}

/** @param {Key} key */
function revokeKey({ id, name, prefix }) {
  const dialog = openDialog('revoke-key', { name, prefix })
  onSubmit(formOf(dialog), async () => {
    await call('DELETE', `/bridge/keys/${id}`)
    closeDialog(dialog)
    await attempt(section, () => showKeys(true))
    one(section, 'h2').focus()
    announce(`The key ${name} is revoked.`)
  })
}
