*
traincannot decode