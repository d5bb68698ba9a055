DROP TRIGGER user_account_stamp ON user_account;

-- AlterTable
ALTER TABLE "user_account" ADD COLUMN     "deactivated_at" TIMESTAMPTZ(3),
ADD COLUMN     "email_verified_at" TIMESTAMPTZ(3),
ADD COLUMN     "is_administrator" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "last_login_at" TIMESTAMPTZ(3);

-- user_account_stamp
CREATE TRIGGER user_account_stamp BEFORE UPDATE OF version ON user_account FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- The earliest owner is the administrator of an installation from before there were any.
UPDATE user_account SET is_administrator = true WHERE id = (
  SELECT m.user_id FROM member m JOIN role r ON r.organization_id = m.organization_id AND r.id = m.role_id
  WHERE r.system = 'OWNER' ORDER BY m.id LIMIT 1);
UPDATE user_account u SET last_login_at = (SELECT max(s.created_at) FROM session s WHERE s.user_id = u.id);
