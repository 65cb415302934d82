-- A person's name is asked for as lower(name), which all databases have.
DROP INDEX person_name;
CREATE INDEX person_name ON person (lower(name));
