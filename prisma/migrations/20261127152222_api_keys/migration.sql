DROP TRIGGER api_key_stamp ON api_key;

-- CreateTable
CREATE TABLE "api_key_hash" (
    "hash" BYTEA NOT NULL,
    "organization_id" UUID NOT NULL,
    "api_key_id" UUID NOT NULL,
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "api_key_hash_pkey" PRIMARY KEY ("hash")
);

-- The hashes of existing keys
INSERT INTO api_key_hash (hash, organization_id, api_key_id) SELECT hash, organization_id, id FROM api_key;

-- DropIndex
DROP INDEX "api_key_hash_key";

-- DropIndex
DROP INDEX "api_key_organization_id_id_idx";

-- AlterTable
ALTER TABLE "api_key" DROP COLUMN "hash",
ADD COLUMN     "expired_at" TIMESTAMPTZ(3),
ADD COLUMN     "permissions" TEXT[] DEFAULT ARRAY[]::TEXT[];

-- The expiry of keys that expired before this version is not announced
UPDATE api_key SET expired_at = expires_at WHERE expires_at <= app_now();

-- CreateIndex
CREATE INDEX "api_key_hash_organization_id_api_key_id_idx" ON "api_key_hash"("organization_id", "api_key_id");

-- CreateIndex
CREATE UNIQUE INDEX "api_key_organization_id_id_key" ON "api_key"("organization_id", "id");

-- AddForeignKey
ALTER TABLE "api_key_hash" ADD CONSTRAINT "api_key_hash_organization_id_api_key_id_fkey" FOREIGN KEY ("organization_id", "api_key_id") REFERENCES "api_key"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- api_key_stamp
CREATE TRIGGER api_key_stamp BEFORE UPDATE OF version ON api_key FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- api_key_expiry_idx
CREATE INDEX api_key_expiry_idx ON api_key (expires_at) WHERE expired_at IS NULL AND revoked_at IS NULL;
