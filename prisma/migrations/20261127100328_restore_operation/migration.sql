-- AlterTable
ALTER TABLE "restore" DROP COLUMN "error",
ADD COLUMN     "operation_id" UUID NOT NULL;
